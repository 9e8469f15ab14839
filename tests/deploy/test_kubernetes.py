"""The Kubernetes manifests: what Kustomize makes of them is valid, confined, and fits the exporter."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
from support.exporters import get, project, running, settings, until
from support.links import repository
from support.prometheus_rule import MANIFEST, prometheus_rule
from support.ways_to_run import DEPLOY, PORT, call, load, load_all, moved, python

import exporter
from exporter.config.settings import Endpoints
from exporter.simulator import Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable

KUBERNETES = DEPLOY / "kubernetes"
VERSIONS = ("1.25", "1.37")
"""The oldest and the newest Kubernetes whose schemas the package has."""
OPERATOR = json.loads((Path(__file__).parent / "schema/operator.json").read_text("utf-8"))

Manifests = dict[str, dict[str, Any]]
"""By kind. There is one of each."""


def built(kubectl: str, directory: Path) -> Manifests:
    """What Kustomize makes of a directory."""
    code, text, wrong = call(kubectl, "kustomize", directory)
    assert (code, wrong) == (0, "")
    manifests = load_all(text)
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    assert len(by_kind) == len(manifests)
    return by_kind


@pytest.fixture(scope="module")
def kubectl(tool: Callable[[str], str]) -> str:
    return tool("kubectl")


def with_components(example: Path) -> None:
    """Remove the # before the example's components."""
    kustomization = example / "kustomization.yaml"
    text = kustomization.read_text()
    (commented,) = re.findall(r"^#components:\n(?:#  - .*\n)+", text, re.MULTILINE)
    kustomization.write_text(text.replace(commented, re.sub(r"^#", "", commented, flags=re.MULTILINE)))


@pytest.fixture(scope="module")
def example(kubectl: str) -> Manifests:
    return built(kubectl, KUBERNETES / "example")


@pytest.fixture(scope="module")
def complete(kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """The example with all of its components."""
    kubernetes = shutil.copytree(KUBERNETES, tmp_path_factory.mktemp("complete") / "kubernetes")
    with_components(kubernetes / "example")
    return built(kubectl, kubernetes / "example")


@pytest.fixture(scope="module")
def sharded(kubectl: str) -> Manifests:
    return built(kubectl, KUBERNETES / "example-sharded")


@pytest.fixture
def pod(example: Manifests) -> dict[str, Any]:
    spec: dict[str, Any] = example["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    found: dict[str, Any] = only
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_key(version: str, example: Manifests, complete: Manifests, sharded: Manifests) -> None:
    assert example.keys() == {"Namespace", "ServiceAccount", "ConfigMap", "Service", "Deployment", "NetworkPolicy"}
    assert example.keys() ^ sharded.keys() == {"Deployment", "StatefulSet", "PodDisruptionBudget"}
    for manifest in (*example.values(), complete["NetworkPolicy"], *sharded.values()):
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template.spec.runAsNonRoot", True),
        ("spec.replicas", "one"),
        ("spec.template.spec.securityContext.seccompProfile", "RuntimeDefault"),
    ],
)
def test_kubernetes_would_reject_what_it_does_not_know(path: str, value: object, example: Manifests) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(changed(example["Deployment"], path, value), VERSIONS[-1], strict=True)


def test_the_base_leaves_namespace_and_configuration_to_an_overlay(kubectl: str, example: Manifests) -> None:
    base = built(kubectl, KUBERNETES / "base")
    assert example.keys() - base.keys() == {"Namespace", "ConfigMap"}
    assert not any("namespace" in manifest["metadata"] for manifest in base.values())
    assert {manifest["metadata"].get("namespace") for kind, manifest in example.items() if kind != "Namespace"} == {
        example["Namespace"]["metadata"]["name"]
    }


def test_the_image_is_in_the_repository_s_registry(example: Manifests) -> None:
    owner_and_name = repository().address.removeprefix("https://github.com/")
    (container,) = example["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"ghcr.io/{owner_and_name}:{exporter.__version__}"


def test_the_operator_knows_every_key(example: Manifests, complete: Manifests) -> None:
    assert complete.keys() - example.keys() == {"ServiceMonitor", "PrometheusRule"}
    for kind in ("ServiceMonitor", "PrometheusRule"):
        jsonschema.validate(complete[kind], OPERATOR[kind])


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ServiceMonitor", "spec.endpoints", [{"port": "metrics", "intervall": "30s"}]),
        ("ServiceMonitor", "spec.endpoints", [{"port": "metrics", "interval": "soon"}]),
        ("PrometheusRule", "spec.groups", [{"name": "g", "rules": [{"alert": "A"}]}]),
        ("PrometheusRule", "spec.groups", [{"name": "g", "rules": [{"alert": "A", "expr": "up", "fro": "5m"}]}]),
    ],
)
def test_the_operator_would_reject_what_it_does_not_know(
    kind: str, path: str, value: object, complete: Manifests
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(complete[kind], path, value), OPERATOR[kind])


def changed(manifest: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with something else at a path."""
    result = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    place = result
    for name in parents:
        place = place[name]
    place[last] = value
    return result


def test_kustomize_would_reject_a_missing_file(kubectl: str, tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES / "base", tmp_path / "base")
    (tmp_path / "base/service.yaml").unlink()
    code, _, wrong = call(kubectl, "kustomize", tmp_path / "base")
    assert code != 0
    assert "service.yaml" in wrong


def test_another_configuration_is_another_deployment(kubectl: str, example: Manifests, tmp_path: Path) -> None:
    """The name of the ConfigMap changes with its contents, and with it the pod that mounts it."""
    kubernetes = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    with (kubernetes / "example/workspace-exporter.yml").open("a") as file:
        file.write("poll: {interval: 2m}\n")
    other = built(kubectl, kubernetes / "example")
    assert other["ConfigMap"]["metadata"]["name"] != example["ConfigMap"]["metadata"]["name"]
    for manifests in (example, other):
        volumes = manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]
        assert volumes[0]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]


def test_the_pod_meets_the_restricted_standard_that_its_namespace_enforces(
    example: Manifests, pod: dict[str, Any], container: dict[str, Any]
) -> None:
    """And goes beyond it: nothing to write to, no token, no second copy."""
    assert example["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {"cpu", "memory"} == container["resources"]["limits"].keys() == container["resources"]["requests"].keys()
    assert pod["automountServiceAccountToken"] is example["ServiceAccount"]["automountServiceAccountToken"] is False
    assert example["Deployment"]["spec"]["replicas"] == 1
    assert example["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


async def test_every_probe_is_answered_and_readiness_only_after_the_first_round(container: dict[str, Any]) -> None:
    simulator = Simulator(SimulatorOptions(users=5, speed=0, quota=0))
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    (port,) = container["ports"]
    assert (port["name"], port["containerPort"]) == ("metrics", PORT)
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    async with simulator.serve() as url:
        slow = settings(project(simulator, url), poll={"rate_limit": 300})
        async with running(slow) as address:
            first = {name: (await get(address + probe["path"]))[0] for name, probe in probes.items()}
            assert first == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 503}
            await until(lambda text: text == "Ready.\n", address + probes["readinessProbe"]["path"])


def test_the_configuration_is_valid_with_what_is_mounted(
    example: Manifests, pod: dict[str, Any], container: dict[str, Any], tmp_path: Path
) -> None:
    """The pod's own words, with the ConfigMap and the Secret where it mounts them."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    contents = example["ConfigMap"]["data"]["workspace-exporter.yml"]
    used = re.findall(rf"{mounts['secrets']}/(\w+)", contents)
    assert used == ["ak", "sk"]
    for name in used:
        (tmp_path / name).write_text("secret\n")
    (tmp_path / "workspace-exporter.yml").write_text(contents.replace(mounts["secrets"], str(tmp_path)))
    words = moved(container["args"], {mounts["configuration"]: str(tmp_path)})
    checked = python("-m", "exporter", *words, "--config.check")
    assert checked == (0, "The configuration is valid: berlin with 2 users.\n", "")


def test_only_prometheus_comes_in_and_only_names_and_https_go_out(example: Manifests) -> None:
    policy = example["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == example["Deployment"]["spec"]["selector"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    ((incoming,), outgoing) = policy["ingress"], policy["egress"]
    assert [port["port"] for port in incoming["ports"]] == [PORT]
    assert incoming["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert {port["port"] for rule in outgoing for port in rule["ports"]} == {53, 443}


def test_a_component_allows_the_metadata_service_and_nothing_else(example: Manifests, complete: Manifests) -> None:
    before, after = (manifests["NetworkPolicy"]["spec"] for manifests in (example, complete))
    (added,) = [rule for rule in after["egress"] if rule not in before["egress"]]
    address = urlsplit(Endpoints().metadata)
    assert added == {
        "to": [{"ipBlock": {"cidr": f"{address.hostname}/32"}}],
        "ports": [{"port": address.port or 80, "protocol": "TCP"}],
    }
    assert after | {"egress": before["egress"]} == before


def test_shards_are_the_base_s_pods_except_for_their_share(example: Manifests, sharded: Manifests) -> None:
    """Probes, limits, confinement, configuration and network are the same, without being written twice."""
    for kind in example.keys() - {"Deployment", "Service"}:
        assert sharded[kind] == example[kind]
    one, several = example["Deployment"]["spec"], copy.deepcopy(sharded["StatefulSet"]["spec"])
    (container,) = several["template"]["spec"]["containers"]
    (original,) = one["template"]["spec"]["containers"]
    of_shard = [variable for variable in container["env"] if variable not in original["env"]]
    container["env"] = [variable for variable in container["env"] if variable not in of_shard]
    assert {container.pop("command")[0], *(variable["name"] for variable in of_shard)} == {
        "sh",
        "POD_NAME",
        "WORKSPACE_EXPORTER_SHARD__TOTAL",
    }
    assert (several["selector"], several["template"]) == (one["selector"], one["template"])
    assert several["serviceName"] == sharded["Service"]["metadata"]["name"]
    assert changed(sharded["Service"], "spec.clusterIP", None) == changed(example["Service"], "spec.clusterIP", None)
    assert sharded["Service"]["spec"]["clusterIP"] == "None", "each shard has an address of its own"
    assert sharded["PodDisruptionBudget"]["spec"]["selector"] == several["selector"]


@pytest.mark.parametrize("total", [2, 11])
def test_every_project_is_watched_by_exactly_one_of_the_pods(
    total: int, kubectl: str, tool: Callable[[str], str], tmp_path: Path
) -> None:
    """The number of pods is in one place. Each pod takes its index from its name, and the rest from its command."""
    kubernetes = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    kustomization = kubernetes / "example-sharded/kustomization.yaml"
    written = kustomization.read_text()
    kustomization.write_text(written.replace("count: 2}", f"count: {total}}}"))
    assert total == 2 or kustomization.read_text() != written
    pods = built(kubectl, kubernetes / "example-sharded")["StatefulSet"]
    assert pods["spec"]["replicas"] == total

    nowhere = {"sessions": "http://127.0.0.1:1", "users": "http://127.0.0.1:1"}
    alike = {"endpoints": nowhere, "auth": {"token": "t"}, "users": ["user001"]}
    projects = [{"name": f"p{n}", "project_id": f"{n:032x}", **alike} for n in range(12)]
    (tmp_path / "workspace-exporter.yml").write_text(json.dumps({"projects": projects}))
    exporter = tmp_path / "bin/workspace-exporter"
    exporter.parent.mkdir()
    exporter.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m exporter "$@" doctor\n')
    exporter.chmod(0o755)

    (container,) = pods["spec"]["template"]["spec"]["containers"]
    words = [*container["command"], *moved(container["args"], {"/etc/workspace-exporter": str(tmp_path)})]
    told = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    watched = Counter[str]()
    for index in range(total):
        environ = told | {"POD_NAME": f"workspace-exporter-{index}", "PATH": f"{exporter.parent}:{os.environ['PATH']}"}
        _, output, wrong = call(tool(words[0]), *words[1:], **environ)
        assert wrong == ""
        watched.update(re.findall(r"^project (\w+)$", output, re.MULTILINE))
    assert watched == Counter(project["name"] for project in projects)


def test_prometheus_finds_all_shards_by_the_name_of_their_service(
    sharded: Manifests, tool: Callable[[str], str], tmp_path: Path
) -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")
    (written,) = (block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "dns_sd_configs" in block)
    (tmp_path / "prometheus.yml").write_text(written)
    code, told, wrong = call(tool("promtool"), "check", "config", tmp_path / "prometheus.yml")
    assert code == 0, told + wrong
    service = sharded["Service"]["metadata"]
    ((job,),) = load(written).values()
    assert job["dns_sd_configs"] == [
        {"names": [f"{service['name']}.{service['namespace']}.svc"], "type": "A", "port": PORT}
    ]


def test_the_components_go_with_shards(kubectl: str, complete: Manifests, sharded: Manifests, tmp_path: Path) -> None:
    kubernetes = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    with_components(kubernetes / "example")
    both = built(kubectl, kubernetes / "example-sharded")
    assert both == sharded | {kind: complete[kind] for kind in ("ServiceMonitor", "PrometheusRule", "NetworkPolicy")}


def test_the_monitor_finds_the_service_and_the_service_the_pod(example: Manifests, complete: Manifests) -> None:
    service, monitor = example["Service"], complete["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"] == example["Deployment"]["spec"]["template"]["metadata"]["labels"]
    ((endpoint,), (port,)) = monitor["endpoints"], service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] == "metrics"


def test_the_monitor_takes_tls_and_a_password_as_documented(
    complete: Manifests, kubectl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator knows the fields, and finds each value in the documented Secret."""
    readme = (DEPLOY.parent / "CONFIGURATION.md").read_text("utf-8")
    (written,) = re.findall(r"```yaml\n(# in deploy/kubernetes/with-operator/servicemonitor.*?)```", readme, re.DOTALL)
    (typed,) = re.findall(r"^kubectl (.* secret generic workspace-exporter-scraping .*\n.*)$", readme, re.MULTILINE)
    added = load(written)
    monitor = copy.deepcopy(complete["ServiceMonitor"])
    monitor["spec"]["endpoints"][0] |= added
    jsonschema.validate(monitor, OPERATOR["ServiceMonitor"])
    monkeypatch.chdir(tmp_path)
    for name in ("exporter.password", "exporter.crt"):
        (tmp_path / name).write_text(name)
    words = shlex.split(typed.replace("\\\n", " "))
    code, told, _ = call(kubectl, *words, "--dry-run=client", "--output=yaml")
    assert code == 0
    secret = load(told)
    values = [*added["basicAuth"].values(), added["tlsConfig"]["ca"]["secret"]]
    assert {value["name"] for value in values} == {secret["metadata"]["name"]}
    assert {value["key"] for value in values} == secret["data"].keys()
    assert secret["metadata"]["namespace"] == monitor["metadata"]["namespace"]


def test_the_rules_find_the_job_under_its_name(complete: Manifests) -> None:
    (endpoint,) = complete["ServiceMonitor"]["spec"]["endpoints"]
    (job,) = load(DEPLOY / "compose/prometheus.yml")["scrape_configs"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": job["job_name"]}]


def test_the_rules_are_prometheus_s_own() -> None:
    """Run `make kubernetes` where this fails."""
    assert (DEPLOY.parent / MANIFEST).read_text("utf-8") == prometheus_rule(DEPLOY.parent)


def test_prometheus_accepts_the_rules_of_the_manifest(
    complete: Manifests, tool: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps(complete["PrometheusRule"]["spec"]))
    code, told, wrong = call(tool("promtool"), "check", "rules", tmp_path / "rules.yml")
    assert code == 0, told + wrong
    assert re.search(r"SUCCESS: [1-9]\d* rules found", told)
