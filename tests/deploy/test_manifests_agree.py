"""The manifests agree with each other: every name that one of them uses is defined by another."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import (
    ROOT,
    SERVICES,
    Manifest,
    container,
    everything,
    of_kind,
    overlay,
    pod,
    ports,
    probes,
    quantity,
    selected,
    variables,
    walk,
    with_components,
)

OURS = ("rest", "worker")


def deployments() -> dict[str, Manifest]:
    return of_kind("Deployment")


def documented_secrets() -> dict[str, set[str]]:
    """Return the secrets that docs/kubernetes.md creates, with their keys."""
    told: dict[str, set[str]] = {}
    for name, rest in re.findall(
        r"create secret generic (\S+)((?:[^\n]*\\\n)*[^\n]*)", (ROOT / "docs" / "kubernetes.md").read_text()
    ):
        told.setdefault(name, set()).update(re.findall(r"--from-literal=(\w+)=", rest))
    return told


def test_every_deployment_selects_its_own_pods_and_no_others() -> None:
    assert sorted(deployments()) == sorted(SERVICES)
    for name, found in deployments().items():
        assert set(found["spec"]["selector"]["matchLabels"]) == {"app.kubernetes.io/name", "app.kubernetes.io/part-of"}
        assert list(selected(found["spec"]["selector"])) == [name]


def test_every_service_selects_one_deployment_and_its_named_ports() -> None:
    assert {name: {port["name"]: port["port"] for port in found["spec"]["ports"]} for name, found in services()} == {
        "redis": {"redis": 6379},
        "myminio-proj": {"s3": 9000, "console": 9001},
        "rest-service": {"http": 5000},
    }
    for _, found in services():
        [target] = selected({"matchLabels": found["spec"]["selector"]}).values()
        for port in found["spec"]["ports"]:
            assert port["targetPort"] == port["name"]
            assert ports(target)[port["name"]] == port["port"]


def services() -> list[tuple[str, Manifest]]:
    return list(of_kind("Service").items())


@pytest.mark.parametrize("kind", ["PodMonitor", "PodDisruptionBudget"])
def test_budgets_and_monitors_select_the_pods_of_their_own_name(kind: str) -> None:
    assert sorted(of_kind(kind)) == ["rest", "worker"]
    for name, found in of_kind(kind).items():
        assert list(selected(found["spec"]["selector"])) == [name]
        for endpoint in found["spec"].get("podMetricsEndpoints", []):
            assert endpoint["port"] in ports(deployments()[name])


def test_every_probe_uses_a_port_of_its_container() -> None:
    for name, found in deployments().items():
        assert {"startupProbe", "livenessProbe"} <= set(probes(found)), name
        for probe in probes(found).values():
            if "exec" not in probe:
                assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in ports(found)


def test_every_secret_is_in_the_document_and_only_an_ingress_requires_api_keys() -> None:
    told = documented_secrets()
    credentials, keys = {"minio-credentials"}, {"msas-api-keys"}
    opened = with_components("local", ("ingress",))
    for manifests, needed in (
        (overlay("local"), credentials),
        (opened, credentials | keys),
        (overlay("gke"), credentials | keys),
    ):
        references = [value for key, value in walk(manifests) if key == "secretKeyRef"]
        assert {reference["name"] for reference in references} == set(told)
        assert all(reference["key"] in {*told[reference["name"]], "ADMIN_KEYS"} for reference in references)
        assert {reference["name"] for reference in references if not reference.get("optional")} == needed


def test_mounts_and_volumes_match() -> None:
    for found in deployments().values():
        volumes = {volume["name"]: volume for volume in pod(found)["volumes"]}
        assert sorted(volumes) == sorted(mount["name"] for mount in container(found)["volumeMounts"])
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in of_kind("ConfigMap")
            elif "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in of_kind("PersistentVolumeClaim")
                assert found["spec"]["strategy"] == {"type": "Recreate"}
            else:
                limits = container(found)["resources"]["limits"]
                assert quantity(volume["emptyDir"]["sizeLimit"]) <= quantity(limits["ephemeral-storage"])
                assert "medium" not in volume["emptyDir"]  # it would count as memory


def test_rest_and_worker_are_given_the_same_redis_and_store_services() -> None:
    reachable = {f"{name}:{port['port']}" for name, found in services() for port in found["spec"]["ports"]}
    seen = []
    for name in OURS:
        given = {key: entry.get("value") for key, entry in variables(deployments()[name]).items()}
        seen.append((f"{given['REDIS_HOST']}:{given['REDIS_PORT']}", given["MINIO_HOST"]))
        assert set(seen[-1]) <= reachable
    assert seen[0] == seen[1]


def test_network_policies_open_only_ports_of_the_pods_behind_them() -> None:
    policies = of_kind("NetworkPolicy")
    assert sorted(policies) == sorted([*SERVICES, "deny-all", "dns"])
    assert policies["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in SERVICES:
        spec = policies[name]["spec"]
        assert list(selected(spec["podSelector"])) == [name]
        for rule in spec["ingress"]:
            assert {port["port"] for port in rule["ports"]} <= set(ports(deployments()[name]))
        for rule in spec.get("egress", []):
            for peer in rule["to"]:
                if "podSelector" in peer:
                    [target] = selected(peer["podSelector"]).values()
                    assert {port["port"] for port in rule["ports"]} <= set(ports(target))


def test_network_policies_let_rest_and_worker_reach_redis_and_the_store_and_these_reach_nothing() -> None:
    policies = of_kind("NetworkPolicy")
    for server in ("redis", "minio"):
        peers = policies[server]["spec"]["ingress"][0]["from"]
        assert sorted(selected(peers[0]["podSelector"])) == ["rest", "worker"]
        assert "egress" not in policies[server]["spec"]
        for caller in OURS:
            reached = [
                list(selected(peer["podSelector"]))
                for rule in policies[caller]["spec"]["egress"]
                for peer in rule["to"]
                if "podSelector" in peer
            ]
            assert [server] in reached
    assert sorted(selected(policies["dns"]["spec"]["podSelector"])) == ["rest", "worker"]


def test_network_policies_keep_workers_off_the_internet_and_rest_off_private_networks() -> None:
    policies = of_kind("NetworkPolicy")
    assert not [key for key, _ in walk(policies["worker"]["spec"]["egress"]) if key == "ipBlock"]
    blocks = [value for key, value in walk(policies["rest"]["spec"]["egress"]) if key == "ipBlock"]
    inside = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"}
    assert inside <= set(blocks[0]["except"])
    assert blocks[1:] == [{"cidr": "2000::/3"}]


def test_disruption_budgets_always_allow_one_eviction_and_of_many_workers_one_in_ten() -> None:
    found = of_kind("PodDisruptionBudget")

    assert found["rest"]["spec"]["maxUnavailable"] == 1
    assert found["worker"]["spec"]["maxUnavailable"] == "10%", "Kubernetes rounds it up"
    assert not [name for name, budget in found.items() if "minAvailable" in budget["spec"]]


def test_many_workers_scale_down_by_a_share_of_them_each_minute() -> None:
    scaler = of_kind("ScaledObject")["worker"]["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    down = scaler["behavior"]["scaleDown"]

    assert down["selectPolicy"] == "Max"
    assert [(policy["type"], policy["value"]) for policy in down["policies"]] == [("Pods", 1), ("Percent", 20)]


def test_scaled_deployments_have_no_replicas_field() -> None:
    for name, replicas in (("rest", 2), ("worker", 1)):
        assert "replicas" not in deployments()[name]["spec"]
        assert of_kind("Deployment", overlay("local"))[name]["spec"]["replicas"] == replicas
    assert of_kind("HorizontalPodAutoscaler")["rest"]["spec"]["scaleTargetRef"]["name"] == "rest"
    assert of_kind("ScaledObject")["worker"]["spec"]["scaleTargetRef"] == {"name": "worker"}


def test_the_ingress_routes_to_rest_and_names_existing_gke_objects() -> None:
    ingress, backend = of_kind("Ingress")["rest"], of_kind("BackendConfig")["rest"]["spec"]["healthCheck"]
    [service] = [value for key, value in walk(ingress["spec"]) if key == "service"]
    assert service == {"name": "rest-service", "port": {"name": "http"}}
    annotations = ingress["metadata"]["annotations"]
    assert annotations["networking.gke.io/managed-certificates"] in of_kind("ManagedCertificate")
    assert annotations["kubernetes.io/ingress.allow-http"] == "false"
    assert "ingressClassName" not in ingress["spec"], "a cluster refuses it beside the annotation"
    [domain] = of_kind("ManagedCertificate")["msas"]["spec"]["domains"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == [domain]
    readiness = probes(deployments()["rest"])["readinessProbe"]["httpGet"]
    assert (backend["requestPath"], backend["port"]) == (readiness["path"], 5000)


def test_readiness_of_rest_depends_on_no_server_that_all_pods_share() -> None:
    assert probes(deployments()["rest"])["readinessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_ingress_with_its_tls_lines_is_valid_and_names_one_host() -> None:
    text = (ROOT / "k8s" / "components" / "ingress" / "ingress.yaml").read_text()
    with_tls = yaml.safe_load(re.sub(r"^  # (?=tls:|  - hosts|    secretName)", "  ", text, flags=re.MULTILINE))

    kubernetes_validate.validate(with_tls, "1.30", strict=True)
    [tls], [rule] = with_tls["spec"]["tls"], with_tls["spec"]["rules"]
    assert tls["hosts"] == [rule["host"]]
    assert tls["secretName"]


def test_every_image_is_pinned_to_a_release() -> None:
    for found in deployments().values():
        image = container(found)["image"]
        assert re.fullmatch(r".+[^/]:(v\d.*|\d+\.\d+\.\d+-.+|RELEASE\.\d.+Z)", image), image
        assert container(found)["imagePullPolicy"] == "IfNotPresent"


def test_every_container_has_requests_within_its_limits() -> None:
    for found in (*deployments().values(), *of_kind("Deployment", overlay("local")).values()):
        resources = container(found)["resources"]
        kinds = {"cpu", "memory", "ephemeral-storage"}
        assert (set(resources["requests"]), set(resources["limits"]) - {"nvidia.com/gpu"}) == (kinds, kinds)
        for kind in kinds:
            assert quantity(resources["requests"][kind]) <= quantity(resources["limits"][kind])


def test_every_pod_runs_unprivileged() -> None:
    users = {"redis": 999, "minio": 1000, "rest": 10001, "worker": 10001}
    for name, found in deployments().items():
        about: dict[str, Any] = pod(found)["securityContext"]
        assert (about["runAsNonRoot"], about["runAsUser"], about["runAsGroup"]) == (True, users[name], users[name])
        assert (about["fsGroup"], about["seccompProfile"]) == (users[name], {"type": "RuntimeDefault"})
        assert container(found)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert (pod(found)["automountServiceAccountToken"], pod(found)["enableServiceLinks"]) == (False, False)
    keys = {key for key, _ in walk(everything())}
    assert not keys & {"privileged", "hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "procMount", "add"}


def test_every_object_carries_our_labels() -> None:
    for manifest in everything():
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "msas", manifest["metadata"]["name"]
    for name, found in deployments().items():
        assert found["metadata"]["labels"] == found["spec"]["template"]["metadata"]["labels"]
        assert found["metadata"]["labels"]["app.kubernetes.io/name"] == name
        assert found["metadata"]["labels"]["app.kubernetes.io/component"]
