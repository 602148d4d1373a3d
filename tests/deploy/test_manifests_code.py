"""The manifests agree with the code: settings, limits, lists, pages and metrics have the same names in both."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest
import requests
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from local import Service
from msas.settings import Settings
from rest.server.run import GRACEFUL_SECONDS
from rest.uploads.json_upload import JSON_ROOM
from tests.support.crd_schemas import Alert
from tests.support.manifests import (
    ROOT,
    Manifest,
    container,
    of_kind,
    pod,
    ports,
    probes,
    quantity,
    variables,
    with_components,
)
from worker.metrics import RESULTS, WorkerMetrics

# The settings that the manifests leave at their defaults, by reason.
LEFT = {
    "names that the contract fixes": "WORK_QUEUE LOG_LIST BUCKET_IN BUCKET_OUT REST_PORT",
    "for a store elsewhere; minio/README.md says how": "MINIO_SECURE",
    "the images set them": "REST_HOST CACHE_DIR",
    "for models that are not in the image": "MODEL_REPO",
    "the default model, and those in the image": "MODELS_ALLOWED",
    "the worker finds the best": "PRECISION",
    "limits that suit until an operator knows better": (
        "MAX_UPLOAD_MB MAX_DURATION_MINUTES MAX_COST_MINUTES MAX_OUTPUT_MB MAX_QUEUE MAX_QUEUE_PER_KEY "
        "MAX_COST_MINUTES_PER_KEY RATE_LIMIT KEEP_DAYS"
    ),
    "more pods, not larger ones, for more callers": "REST_CONNECTIONS SPOOL_MB",
    "addresses and the cluster's names suit; with keys, every name": "TRUSTED_HOSTS",
    "nothing inside is to be called, unless an operator says so": "CALLBACK_ALLOW_HOSTS",
    "times that the tests hold with their defaults": (
        "LEASE_SECONDS BEAT_SECONDS BLOCK_SECONDS RETRY_SECONDS STALL_SECONDS RECONCILE_SECONDS COMPARE_SECONDS"
    ),
}
OURS = ("rest", "worker")
# Measured with `make bench` on two cores of a Xeon with AMX, rounded up: htdemucs on a minute of song; the peak of REST
# with 1,570 slow callers (long_crowd); the peak of a worker with 44 minutes of song.
SECONDS_FOR_A_MINUTE_OF_SONG = 10.4
REST_PEAK_MB = 540
AUTOSCALER_TOLERANCE = 1.1  # Kubernetes' own: up to 10 % above the target it adds no pod
WORKER_PEAK_MB = 1_200


def deployment(name: str) -> Manifest:
    return of_kind("Deployment")[name]


def settings(name: str) -> Settings:
    """Return the settings that a pod would read, with defaults for secrets."""
    given = {key: entry["value"] for key, entry in variables(deployment(name)).items() if "value" in entry}
    return Settings.from_environment(given)


def test_every_variable_is_a_setting_and_every_setting_is_set_or_listed_as_left() -> None:
    known = {field.name.upper() for field in fields(Settings)}
    given = {variable for name in OURS for variable in variables(deployment(name))}
    left = {name for names in LEFT.values() for name in names.split()}
    assert given <= known
    assert given | left == known
    assert not given & left


@pytest.mark.parametrize("name", OURS)
def test_dockerfiles_set_the_variables_that_the_manifests_leave_to_them(name: str) -> None:
    dockerfile = (ROOT / name / "Dockerfile").read_text()
    assert {"rest": "REST_HOST=0.0.0.0", "worker": "CACHE_DIR=/opt/msas/models"}[name] in dockerfile
    assert "USER 10001:10001" in dockerfile


def test_grace_periods_are_longer_than_the_workers_drain_and_gunicorns_timeout() -> None:
    assert pod(deployment("worker"))["terminationGracePeriodSeconds"] == settings("worker").drain_seconds + 10
    assert pod(deployment("rest"))["terminationGracePeriodSeconds"] >= 5 + GRACEFUL_SECONDS + 10


def test_container_ports_equal_the_ports_of_the_settings() -> None:
    assert ports(deployment("rest")) == {"http": settings("rest").rest_port}
    assert ports(deployment("worker")) == {"metrics": settings("worker").metrics_port}


def test_paths_of_probes_and_monitors_answer_200_without_a_key(service: Service) -> None:
    pages = {probe["httpGet"]["path"] for probe in probes(deployment("rest")).values()}
    pages |= {found["path"] for found in of_kind("PodMonitor")["rest"]["spec"]["podMetricsEndpoints"]}
    pages.add(of_kind("BackendConfig")["rest"]["spec"]["healthCheck"]["requestPath"])
    assert pages == {"/healthz", "/metrics"}
    for page in pages:
        assert requests.get(f"http://{service.address}{page}", timeout=10).status_code == 200


def test_the_autoscaler_asks_rest_for_all_jobs_that_wait_and_run() -> None:
    spec = of_kind("ScaledObject")["worker"]["spec"]
    waiting, running = spec["triggers"]
    for trigger in (waiting, running):
        assert trigger["metadata"]["url"].startswith("http://rest-service.msas.")
    assert spec["advanced"]["scalingModifiers"]["formula"].split(" + ") == [waiting["name"], running["name"]]


def test_the_autoscaler_of_rest_adds_a_pod_before_its_process_uses_all_the_cpu_that_it_can() -> None:
    rest, most = deployment("rest"), 1  # core: greenlets share one
    [metric] = of_kind("HorizontalPodAutoscaler")["rest"]["spec"]["metrics"]
    target = quantity(metric["resource"]["target"]["averageValue"])

    assert target * AUTOSCALER_TOLERANCE < 0.75 * most
    assert quantity(container(rest)["resources"]["requests"]["cpu"]) == target


def test_the_ingress_allows_a_body_as_large_as_the_largest_song_in_base64() -> None:
    annotations = of_kind("Ingress")["rest"]["metadata"]["annotations"]
    size = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert re.fullmatch(r"\d+m", size)
    assert int(size[:-1]) * 2**20 >= settings("rest").max_upload_mb * 1e6 * 4 / 3 + JSON_ROOM
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > 60  # ?wait=


def test_the_ingress_buffers_bodies_and_answers() -> None:
    annotations = of_kind("Ingress")["rest"]["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "on"
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "on"


def test_the_scratch_volumes_hold_the_songs_that_may_be_on_disk_at_once() -> None:
    rest = settings("rest")
    assert scratch("rest") >= rest.spool_mb * 1e6
    assert scratch("worker") >= rest.max_upload_mb * 1e6


def scratch(name: str) -> float:
    [folder] = [volume["emptyDir"] for volume in pod(deployment(name))["volumes"] if volume["name"] == "tmp"]
    return quantity(folder["sizeLimit"])


def test_memory_limits_are_half_as_much_again_as_the_measured_peaks() -> None:
    on_a_cpu = of_kind("Deployment", with_components("gke", ()))
    rest, worker = (container(on_a_cpu[name])["resources"] for name in OURS)
    assert quantity(rest["limits"]["memory"]) > 1.5e6 * REST_PEAK_MB
    assert quantity(worker["requests"]["memory"]) > 1e6 * WORKER_PEAK_MB
    assert quantity(worker["limits"]["memory"]) > 1.5e6 * WORKER_PEAK_MB


def test_redis_persists_refuses_when_full_and_stays_below_its_memory_limit() -> None:
    lines = dict(
        line.split(maxsplit=1)
        for line in of_kind("ConfigMap")["redis-config"]["data"]["redis.conf"].splitlines()
        if line and not line.startswith("#")
    )
    assert (lines["appendonly"], lines["maxmemory-policy"], lines["dir"]) == ("yes", "noeviction", "/data")
    limit = quantity(container(deployment("redis"))["resources"]["limits"]["memory"])
    assert 2 * int(lines["maxmemory"].removesuffix("mb")) * 2**20 <= limit


def samples(text: str) -> set[str]:
    """Return the names that can be asked for, whether or not they have been counted yet."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    return {
        family.name + end for family in text_string_to_metric_families(text) for end in ends.get(family.type, ("",))
    }


def expressions() -> list[str]:
    """Return all that the alerts, the dashboard and the autoscaler ask Prometheus or REST for."""
    rules = [rule["expr"] for group in of_kind("PrometheusRule")["msas"]["spec"]["groups"] for rule in group["rules"]]
    dashboard = json.loads(of_kind("ConfigMap")["msas-dashboard"]["data"]["msas.json"])
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    triggers = of_kind("ScaledObject")["worker"]["spec"]["triggers"]
    return [*rules, *panels, *(trigger["metadata"]["valueLocation"] for trigger in triggers)]


def test_alerts_dashboard_and_autoscaler_name_only_metrics_that_exist(service: Service) -> None:
    at_rest = samples(requests.get(f"http://{service.address}/metrics", timeout=10).text)
    counted = at_rest | samples(generate_latest(WorkerMetrics().registry).decode())
    asked = {name for expression in expressions() for name in re.findall(r"\bmsas_\w+", expression)}
    assert asked
    assert asked <= counted
    known = {result.replace(" ", "_") for result in RESULTS}
    results = re.findall(r'result=~?"([^"]+)"', " ".join(expressions()))
    assert {name for names in results for name in names.split("|")} <= known


def test_expressions_select_our_namespace_and_have_balanced_brackets() -> None:
    for expression in expressions()[:-2]:
        for left, right in ("()", "{}", "[]"):
            assert expression.count(left) == expression.count(right), expression
        assert len(re.findall(r"\bmsas_\w+", expression)) == expression.count('{namespace="msas"'), expression


def test_every_alert_has_a_severity_and_an_instruction() -> None:
    for group in of_kind("PrometheusRule")["msas"]["spec"]["groups"]:
        for rule in group["rules"]:
            alert = Alert.model_validate(rule)
            assert re.search(r"\b(Look|Give)\b", alert.annotations.description), alert.alert
            assert alert.labels["severity"] in ("critical", "warning")


def test_drain_seconds_cover_ten_minutes_of_song() -> None:
    assert settings("worker").drain_seconds >= 10 * SECONDS_FOR_A_MINUTE_OF_SONG
