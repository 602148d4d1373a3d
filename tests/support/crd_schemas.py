"""What the manifests use of kinds that Kubernetes itself does not know, as the documentation of their makers has it.

No schemas of theirs can be had here. So these hold no more than the fields that we use: a field that is misspelt, of
the wrong type, missing or new fails; that the makers still take it is for a real cluster to say.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _Selector(_Closed):
    match_labels: dict[str, str]


class _Endpoint(_Closed):
    port: str
    path: str
    interval: str = Field(pattern=r"^\d+[ms]$")


class PodMonitor(_Closed):
    """Prometheus operator, monitoring.coreos.com/v1."""

    selector: _Selector
    pod_metrics_endpoints: list[_Endpoint] = Field(min_length=1)


class _Annotations(_Closed):
    summary: str
    description: str


class Alert(_Closed):
    alert: str = Field(pattern=r"^Msas[A-Za-z]+$")
    expr: str
    labels: dict[str, str]
    annotations: _Annotations
    for_: str = Field(default="0s", alias="for", pattern=r"^\d+[ms]$")


class _Group(_Closed):
    name: str
    rules: list[Alert] = Field(min_length=1)


class PrometheusRule(_Closed):
    """Prometheus operator, monitoring.coreos.com/v1."""

    groups: list[_Group] = Field(min_length=1)


class _Target(_Closed):
    name: str


class _Modifiers(_Closed):
    formula: str
    target: str = Field(pattern=r"^[\d.]+$")
    metric_type: Literal["AverageValue", "Value"]


class _Behaviour(_Closed):
    behavior: dict[Literal["scaleDown", "scaleUp"], dict[str, Any]]


class _Advanced(_Closed):
    horizontal_pod_autoscaler_config: _Behaviour
    scaling_modifiers: _Modifiers


class _List(_Closed):
    address: str = Field(pattern=r"^[a-z.-]+:\d+$")
    list_name: str
    list_length: str = Field(pattern=r"^\d+$")
    activation_list_length: str = Field(pattern=r"^\d+$")


class _Metric(_Closed):
    url: str
    format: Literal["prometheus"]
    value_location: str
    target_value: str = Field(pattern=r"^\d+$")


class _Redis(_Closed):
    name: str
    type: Literal["redis"]
    metadata: _List


class _Api(_Closed):
    name: str
    type: Literal["metrics-api"]
    metadata: _Metric


class ScaledObject(_Closed):
    """KEDA, keda.sh/v1alpha1, as of its release 2.17."""

    scale_target_ref: _Target
    min_replica_count: int = Field(ge=0)
    max_replica_count: int = Field(ge=1)
    polling_interval: int = Field(ge=1)
    advanced: _Advanced
    triggers: list[_Redis | _Api] = Field(min_length=1)


class _HealthCheck(_Closed):
    type: Literal["HTTP"]
    request_path: str = Field(pattern="^/")
    port: int
    check_interval_sec: int
    timeout_sec: int
    healthy_threshold: int
    unhealthy_threshold: int


class _Draining(_Closed):
    draining_timeout_sec: int


class BackendConfig(_Closed):
    """GKE, cloud.google.com/v1."""

    timeout_sec: int
    connection_draining: _Draining
    health_check: _HealthCheck


class ManagedCertificate(_Closed):
    """GKE, networking.gke.io/v1."""

    domains: list[str] = Field(min_length=1)


CRDS: dict[tuple[str, str], type[_Closed]] = {
    ("monitoring.coreos.com/v1", "PodMonitor"): PodMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRule,
    ("keda.sh/v1alpha1", "ScaledObject"): ScaledObject,
    ("cloud.google.com/v1", "BackendConfig"): BackendConfig,
    ("networking.gke.io/v1", "ManagedCertificate"): ManagedCertificate,
}
