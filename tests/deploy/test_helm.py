"""The Helm chart: what Helm makes of it is valid, confined, and fits the exporter, its rules and its dashboards."""

from __future__ import annotations

import copy
import functools
import importlib
import json
import platform
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
from support.chart import BEGIN, CHART, copies, generated, present, values_schema
from support.links import grafana, repository
from support.prometheus_rule import prometheus_rule
from support.ways_to_run import DEPLOY, PORT, ROOT, call, load, load_all, moved, python
from support.web_files import certificate

import exporter
from exporter.config.catalog import all_settings
from exporter.config.values import is_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
    pytest.skip("Helm's package has no wheel for this machine", allow_module_level=True)
helm: Any = importlib.import_module("helm_python")

SETS = {path.name.removesuffix("-values.yaml"): path for path in sorted((ROOT / CHART / "ci").glob("*-values.yaml"))}
VERSIONS = ("1.25", "1.37")
"""The oldest Kubernetes that the chart supports, and the newest that the package has schemas of."""
OPERATOR = json.loads((Path(__file__).parent / "schema/operator.json").read_text("utf-8"))
ALWAYS = ["ConfigMap", "Service", "ServiceAccount"]

Manifest = dict[str, Any]


def values_of(name: str) -> dict[str, Any]:
    """Return one of the chart's sets of values, as Helm reads it."""
    values: dict[str, Any] = helm.values_from_yaml(SETS[name].read_text("utf-8"))
    return values


def texts(values: dict[str, Any], release: str = "workspace-exporter") -> dict[str, str]:
    """Return what Helm makes of each template."""
    with helm.Chart.load(ROOT / CHART) as chart:
        rendered: dict[str, str] = chart.render(values, name=release, namespace="vdi")
    return {Path(path).name: text for path, text in rendered.items()}


def render(values: dict[str, Any], release: str = "workspace-exporter") -> list[Manifest]:
    """Return all manifests that Helm makes of the values."""
    rendered = texts(values, release)
    return [each for path, text in rendered.items() if path != "NOTES.txt" for each in documents(text)]


@functools.cache  # the dashboards take most of the time, and are always the same
def documents(text: str) -> list[Manifest]:
    """Return the manifests that Helm made of a template. Nobody may change them."""
    return [each for each in load_all(text) if each]


def changed(values: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with something else at a path."""
    result = copy.deepcopy(values)
    *parents, last = path.split(".")
    place = result
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return result


def kinds(manifests: list[Manifest]) -> list[str]:
    return sorted(manifest["kind"] for manifest in manifests)


def only(manifests: list[Manifest], *kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] in kind)
    return found


def pod_of(manifests: list[Manifest]) -> Manifest:
    """Return the template of the pods."""
    template: Manifest = only(manifests, "Deployment", "StatefulSet")["spec"]["template"]
    return template


def container_of(manifests: list[Manifest]) -> Manifest:
    found: Manifest
    (found,) = pod_of(manifests)["spec"]["containers"]
    return found


@pytest.fixture(params=SETS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def manifests(name: str) -> list[Manifest]:
    return render(values_of(name))


def test_helm_finds_nothing_to_warn_of(name: str) -> None:
    report = helm.lint(ROOT / CHART, values_of(name), strict=True, kube_version="v1.25.0")
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("default", [*ALWAYS, "Deployment"]),
        ("existing", ["Deployment", "Service"]),
        ("hardened", [*ALWAYS, "Deployment", "NetworkPolicy", "PodDisruptionBudget"]),
        (
            "monitoring",
            [*ALWAYS, *["ConfigMap"] * 5, "Deployment", "PrometheusRule", "Secret", "ServiceMonitor"],
        ),
        ("sharded", [*ALWAYS, "PodDisruptionBudget", "StatefulSet"]),
    ],
)
def test_a_set_of_values_makes_exactly_these_resources(name: str, expected: list[str]) -> None:
    assert kinds(render(values_of(name))) == sorted(expected)


def test_every_set_of_values_has_its_resources_listed() -> None:
    assert SETS.keys() == {"default", "existing", "hardened", "monitoring", "sharded"}


def test_no_two_resources_have_the_same_name(manifests: list[Manifest]) -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_key(version: str, manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] in OPERATOR:
            jsonschema.validate(manifest, OPERATOR[manifest["kind"]])
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    ("name", "switch", "kind"),
    [
        ("hardened", "networkPolicy.enabled", "NetworkPolicy"),
        ("hardened", "podDisruptionBudget.enabled", "PodDisruptionBudget"),
        ("hardened", "serviceAccount.create", "ServiceAccount"),
        ("monitoring", "serviceMonitor.enabled", "ServiceMonitor"),
        ("monitoring", "prometheusRule.enabled", "PrometheusRule"),
    ],
)
def test_a_resource_that_is_switched_off_is_not_made(name: str, switch: str, kind: str) -> None:
    values = values_of(name)
    with_it, without = kinds(render(values)), kinds(render(changed(values, switch, value=False)))
    with_it.remove(kind)
    assert without == with_it


def test_dashboards_that_are_switched_off_are_not_made() -> None:
    manifests = render(changed(values_of("monitoring"), "dashboards.enabled", value=False))
    assert [each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"] == [
        "workspace-exporter",
        "workspace-exporter-users",
    ]


def test_selectors_match_the_pods_and_only_those_of_the_release(manifests: list[Manifest]) -> None:
    workload = only(manifests, "Deployment", "StatefulSet")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    selectors = [workload["spec"]["selector"]["matchLabels"], only(manifests, "Service")["spec"]["selector"]]
    for manifest in manifests:
        if manifest["kind"] == "PodDisruptionBudget":
            selectors.append(manifest["spec"]["selector"]["matchLabels"])
        if manifest["kind"] == "NetworkPolicy":
            selectors.append(manifest["spec"]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/instance"] == "workspace-exporter"
    for spread in workload["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_monitor_finds_the_service_and_its_port_under_the_job_of_the_rules() -> None:
    manifests = render(values_of("monitoring"))
    service, monitor = only(manifests, "Service"), only(manifests, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ((endpoint,), (port,)) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert (endpoint["port"], port["targetPort"]) == (port["name"], container_of(manifests)["ports"][0]["name"])
    assert (port["port"], container_of(manifests)["ports"][0]["containerPort"]) == (PORT, PORT)
    (job,) = load(DEPLOY / "compose/prometheus.yml")["scrape_configs"]
    assert endpoint["relabelings"][0] == {"targetLabel": "job", "replacement": job["job_name"]}


def test_names_and_labels_have_at_most_63_characters(name: str) -> None:
    """Even for the longest name of a release. A StatefulSet adds a hash of 10 for a label of its pods."""
    for release in ("r" * 53, "a-" * 22 + "a-longer"):
        for manifest in render(values_of(name), release):
            metadata = manifest["metadata"]
            room = 63 - len("-0123456789") if manifest["kind"] == "StatefulSet" else 63
            assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", metadata["name"])
            assert len(metadata["name"]) <= room
            assert all(len(str(text)) <= 63 for text in metadata["labels"].values())


def test_the_release_of_the_documents_has_the_names_of_the_manifests(manifests: list[Manifest]) -> None:
    """So that the commands of the runbook are right for Helm and Kustomize."""
    deployment = load(DEPLOY / "kubernetes/base/deployment.yaml")
    assert only(manifests, "Deployment", "StatefulSet")["metadata"]["name"] == deployment["metadata"]["name"]
    assert pod_of(manifests)["metadata"]["labels"]["app.kubernetes.io/name"] == "workspace-exporter"


@pytest.mark.parametrize("name", ["default", "hardened", "monitoring", "sharded"])
def test_the_configuration_is_valid_with_what_is_mounted(name: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    """The pod's own arguments, with its ConfigMaps and Secrets where it mounts them."""
    manifests = render(values_of(name))
    container, pod = container_of(manifests), pod_of(manifests)["spec"]
    places = {mount["mountPath"]: str(tmp_path / mount["name"]) for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    for place in places.values():
        Path(place).mkdir()
    for file, text in projected(manifests).items():
        (tmp_path / "configuration" / file).write_text(moved([text], places)[0])
    if "/run/secrets" in places:
        for key in ("ak", "sk"):
            (tmp_path / "secrets" / key).write_text("secret\n")
    if "/run/tls" in places:
        public, private = certificate(tool("openssl"), tmp_path, "tls")
        public.rename(tmp_path / "tls/tls.crt")
        private.rename(tmp_path / "tls/tls.key")
    code, told, wrong = python("-m", "exporter", *moved(container["args"], places), "--config.check")
    assert (code, wrong) == (0, "")
    assert told.startswith("The configuration is valid: berlin")


def projected(manifests: list[Manifest]) -> dict[str, str]:
    """Return the files of the pod's volume for the configuration, from the chart's own resources."""
    contents = {
        (each["kind"].lower(), each["metadata"]["name"]): each.get("data") or each["stringData"]
        for each in manifests
        if each["kind"] in {"ConfigMap", "Secret"}
    }
    files: dict[str, str] = {}
    for source in pod_of(manifests)["spec"]["volumes"][0]["projected"]["sources"]:
        ((kind, named),) = source.items()
        data = contents[kind.lower(), named["name"]]
        files |= {item["path"]: data[item["key"]] for item in named["items"]} if "items" in named else data
    return files


def test_resources_that_exist_are_mounted_where_the_documents_say() -> None:
    manifests = render(values_of("existing"))
    configuration, *secrets = pod_of(manifests)["spec"]["volumes"]
    sources = configuration["projected"]["sources"]
    assert [source[kind]["name"] for source in sources for kind in source] == [
        "my-configuration",
        "my-users",
        "my-web-file",
    ]
    assert {volume["name"]: volume["secret"]["secretName"] for volume in secrets} == {
        "secrets": "my-credentials",
        "tls": "my-certificate",
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container_of(manifests)["volumeMounts"]}
    assert mounts == {"configuration": "/etc/workspace-exporter", "secrets": "/run/secrets", "tls": "/run/tls"}
    assert pod_of(manifests)["spec"]["serviceAccountName"] == "my-account"


def test_the_pod_is_confined_and_limited_as_the_one_of_kustomize(manifests: list[Manifest]) -> None:
    base = load(DEPLOY / "kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    pod, container = pod_of(manifests)["spec"], container_of(manifests)
    (original,) = base["containers"]
    for key in (
        "automountServiceAccountToken",
        "enableServiceLinks",
        "securityContext",
        "terminationGracePeriodSeconds",
    ):
        assert pod[key] == base[key], key
    for key in ("resources", "securityContext", "ports"):
        assert container[key] == original[key], key
    assert container["args"][0] == original["args"][0]


def test_the_network_policy_is_the_one_of_kustomize_with_what_is_added() -> None:
    base = load(DEPLOY / "kubernetes/base/networkpolicy.yaml")["spec"]
    values = values_of("default") | {"networkPolicy": {"enabled": True}}
    policy = only(render(values), "NetworkPolicy")["spec"]
    assert policy["egress"] == base["egress"]
    assert [rule["from"] for rule in policy["ingress"]] == [rule["from"] for rule in base["ingress"]]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": "metrics", "protocol": "TCP"}]]

    (component,) = load(DEPLOY / "kubernetes/metadata-service/kustomization.yaml")["patches"]
    (patch,) = load(component["patch"])
    hardened = only(render(values_of("hardened")), "NetworkPolicy")["spec"]
    networks = values_of("hardened")["networkPolicy"]
    assert hardened["egress"] == [*base["egress"], patch["value"], *networks["extraEgress"]]
    assert [rule["from"] for rule in hardened["ingress"]] == [networks["from"]]


def test_what_values_say_about_the_pod_is_in_the_pod() -> None:
    values = values_of("hardened")
    manifests = render(values)
    pod, container = pod_of(manifests), container_of(manifests)
    for key in ("priorityClassName", "nodeSelector", "tolerations"):
        assert pod["spec"][key] == values[key]
    assert values["podAnnotations"].items() <= pod["metadata"]["annotations"].items()
    assert values["podLabels"].items() <= pod["metadata"]["labels"].items()
    assert container["env"] == values["extraEnv"]
    assert pod["spec"]["volumes"][1:] == values["extraVolumes"]
    assert container["volumeMounts"][1:] == values["extraVolumeMounts"]
    account = only(manifests, "ServiceAccount")
    assert account["metadata"]["annotations"] == values["serviceAccount"]["annotations"]
    assert account["metadata"]["name"] == pod["spec"]["serviceAccountName"]

    values = values_of("existing")
    manifests, image = render(values), values["image"]
    assert container_of(manifests)["image"] == f"{image['repository']}@{image['digest']}"
    assert pod_of(manifests)["spec"]["imagePullSecrets"] == image["pullSecrets"]
    assert container_of(manifests)["args"][-1:] == values["extraArgs"]


def test_prometheus_and_grafana_find_their_resources_by_label() -> None:
    values = values_of("monitoring")
    for kind, key in (("ServiceMonitor", "serviceMonitor"), ("PrometheusRule", "prometheusRule")):
        assert values[key]["labels"].items() <= only(render(values), kind)["metadata"]["labels"].items()
    (endpoint,) = only(render(values), "ServiceMonitor")["spec"]["endpoints"]
    for key in ("scrapeTimeout", "tlsConfig", "basicAuth"):
        assert endpoint[key] == values["serviceMonitor"][key]


def test_one_pod_at_a_time_polls_a_project() -> None:
    base = load(DEPLOY / "kubernetes/base/deployment.yaml")["spec"]
    deployment = only(render(values_of("default")), "Deployment")["spec"]
    for key in ("replicas", "strategy", "progressDeadlineSeconds"):
        assert deployment[key] == base[key], key


def test_shards_get_their_index_and_total_as_those_of_kustomize(tool: Callable[[str], str]) -> None:
    """The tests of that overlay run its command: each project has exactly one shard."""
    code, told, _ = call(tool("kubectl"), "kustomize", DEPLOY / "kubernetes/example-sharded")
    assert code == 0
    overlay, manifests = load_all(told), render(values_of("sharded"))
    original, ours = (only(each, "StatefulSet")["spec"] for each in (overlay, manifests))
    assert container_of(manifests)["command"] == container_of(overlay)["command"]
    assert ours["podManagementPolicy"] == original["podManagementPolicy"]
    position, total = container_of(manifests)["env"]
    assert position in container_of(overlay)["env"]
    assert total == {"name": "WORKSPACE_EXPORTER_SHARD__TOTAL", "value": str(ours["replicas"])}
    assert ours["serviceName"] == only(manifests, "Service")["metadata"]["name"]
    assert only(manifests, "Service")["spec"]["clusterIP"] == "None"


def test_a_changed_configuration_replaces_the_pod_and_a_changed_file_of_users_does_not() -> None:
    values = values_of("monitoring")
    before = pod_of(render(values))
    assert pod_of(render(changed(values, "config.poll.interval", "2m"))) != before
    assert pod_of(render(changed(values, "usersFile.content", "user009\n"))) == before
    assert pod_of(render(changed(values, "web.config.basic_auth_users", {"other": "$2y$10$x"}))) == before


@pytest.mark.parametrize(
    ("web", "scheme", "command"),
    [
        ({}, "HTTP", None),
        ({"tlsSecret": "tls"}, "HTTPS", None),
        ({"tlsSecret": "tls", "config": {"http_server_config": {"http2": False}}}, "HTTPS", None),
        ({"config": {"basic_auth_users": {"a": "b"}}}, None, "http://127.0.0.1:10099"),
        ({"tlsSecret": "tls", "config": {"basic_auth_users": {"a": "b"}}}, None, "https://127.0.0.1:10099"),
        (
            {"tlsSecret": "tls", "config": {"tls_server_config": {"client_auth_type": "RequireAnyClientCert"}}},
            None,
            "https://127.0.0.1:10099",
        ),
        ({"tlsSecret": "tls", "existingSecret": "web"}, None, "https://127.0.0.1:10099"),
    ],
)
def test_probes_need_neither_a_password_nor_a_client_certificate(
    web: dict[str, Any], scheme: str | None, command: str | None
) -> None:
    container = container_of(render(values_of("default") | {"web": web}))
    assert ("--web.config.file=/etc/workspace-exporter/web.yml" in container["args"]) == bool(web)
    for name, path in (("startup", "healthy"), ("liveness", "healthy"), ("readiness", "ready")):
        probe = container[f"{name}Probe"]
        if command:
            assert probe["exec"] == {"command": ["python", "-m", "exporter.health", command]}
        else:
            assert probe["httpGet"] == {"path": f"/-/{path}", "port": "metrics", "scheme": scheme}


def test_prometheus_scrapes_with_the_scheme_and_path_that_are_served() -> None:
    for tls, scheme in (("", "http"), ("tls", "https")):
        values = changed(values_of("monitoring"), "web.tlsSecret", tls)
        values = changed(values, "config.web.telemetry_path", "/numbers")
        (endpoint,) = only(render(values), "ServiceMonitor")["spec"]["endpoints"]
        assert (endpoint["scheme"], endpoint["path"]) == (scheme, "/numbers")


def test_the_generated_files_of_the_chart_are_up_to_date() -> None:
    """Run `make chart` where this fails."""
    assert present(ROOT) == copies(ROOT).keys()
    assert [str(path) for path, contents in generated(ROOT).items() if (ROOT / path).read_bytes() != contents] == []


def test_the_rules_are_prometheus_s_own_with_the_address_of_grafana(tool: Callable[[str], str], tmp_path: Path) -> None:
    rules = only(render(values_of("monitoring")), "PrometheusRule")
    expected = load(prometheus_rule(ROOT).replace(f"{grafana()}/d/", "https://grafana.example.org/d/"))
    assert rules["spec"] == expected["spec"]
    (tmp_path / "rules.yml").write_text(json.dumps(rules["spec"]))
    code, told, wrong = call(tool("promtool"), "check", "rules", tmp_path / "rules.yml")
    assert code == 0, told + wrong
    assert f"{repository().address}/blob/main/deploy/RUNBOOK.md#workspaceexporterdown" in json.dumps(rules)


def test_the_rules_are_prometheus_s_own_without_an_address_of_grafana() -> None:
    values = {**values_of("monitoring"), "prometheusRule": {"enabled": True}}
    assert only(render(values), "PrometheusRule")["spec"] == load(prometheus_rule(ROOT))["spec"]


def test_the_dashboards_are_grafana_s_own() -> None:
    found = {
        file.removeprefix("workspace-"): json.loads(text)
        for manifest in render(values_of("monitoring"))
        if manifest["metadata"]["labels"].get("grafana_dashboard") == "1"
        for file, text in manifest["data"].items()
    }
    assert found == {path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana").glob("*.json")}


def test_the_chart_is_of_this_version_and_repository() -> None:
    chart = load(ROOT / CHART / "Chart.yaml")
    assert chart["version"] == chart["appVersion"] == exporter.__version__
    assert [chart["home"]] == chart["sources"] == [repository().address]
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"
    owner_and_name = repository().address.removeprefix("https://github.com/")
    assert container_of(render(values_of("default")))["image"] == f"ghcr.io/{owner_and_name}:{exporter.__version__}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("global", {"imageRegistry": "registry.example.org"}),
        ("podDisruptionBudget.maxUnavailable", "50%"),
        ("config.log.level", "WARN"),
        ("config.http", {"proxy": "http://proxy.corp:3128", "ca_file": "/etc/ssl/corporate/ca.pem"}),
        ("config.projects", [{"project_id": "1", "labels": {"site": "munich"}, "exclude": ["svc-*"]}]),
        ("podAnnotations", None),
        ("affinity", None),
        ("resources.limits.cpu", None),
        ("podSecurityContext.runAsUser", None),
        ("config.log", None),
        ("networkPolicy", {"enabled": True, "from": []}),
        ("livenessProbe.initialDelaySeconds", 5),
    ],
)
def test_what_people_set_elsewhere_is_accepted(path: str, value: object) -> None:
    for manifest in render(changed(values_of("default"), path, value)):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_null_removes_a_default() -> None:
    """As on OpenShift, which chooses the user of a pod, or where nobody limits processor time."""
    values = changed(values_of("default"), "resources.limits.cpu", None)
    values = changed(values, "podSecurityContext.runAsUser", None)
    manifests = render(values)
    assert container_of(manifests)["resources"]["limits"] == {"memory": "256Mi"}
    assert "runAsUser" not in pod_of(manifests)["spec"]["securityContext"]


def test_labels_for_all_resources_never_replace_the_chart_s_own() -> None:
    values = values_of("hardened")
    values["commonLabels"] |= {"app.kubernetes.io/name": "other"}
    for manifest in render(values):
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "workspace-exporter"
        assert labels["example.org/cost-center"] == "42"


def test_the_package_has_the_rules_and_dashboards_but_not_the_examples(tmp_path: Path) -> None:
    with helm.Chart.load(helm.package(ROOT / CHART, destination=tmp_path)) as chart:
        files = {file["name"] for file in chart.files}
    for path in copies(ROOT):
        assert str(path.relative_to(CHART)) in files
    assert not any(name.startswith("ci/") for name in files)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("shard", 2, "'shard'"),
        ("shards", 0, "/shards"),
        ("shards", "two", "/shards"),
        ("image.tag", 0.1, "/image/tag"),
        ("image.digest", "abc", "/image/digest"),
        ("image.pullPolicy", "always", "/image/pullPolicy"),
        ("image.name", "x", "'name'"),
        ("existingSecret", "My_Secret", "/existingSecret"),
        ("config.projects", {}, "/config/projects"),
        ("config.projects", [{"regoin": "x"}], "'regoin'"),
        ("config.projects", [{"project_id": 12}], "/config/projects/0/project_id"),
        ("config.projects", [{"auth": {"secret_key": "secret"}}], "'secret_key'"),
        ("config.projects", [{"users": [True]}], "/config/projects/0/users/0"),
        ("config.polls", {}, "'polls'"),
        ("config.poll.interval", "soon", "/config/poll/interval"),
        ("config.metrics.per_user", "some", "/config/metrics/per_user"),
        ("config.web.listen_address", ":80", "'listen_address'"),
        ("config.web.enable_config", "true", "/config/web/enable_config"),
        ("config.shard.total", 2, "'shard'"),
        ("web.config.tls", {}, "'tls'"),
        ("serviceMonitor.intervall", "30s", "'intervall'"),
        ("serviceMonitor.interval", 30, "/serviceMonitor/interval"),
        ("prometheusRule.grafanaUrl", "grafana", "/prometheusRule/grafanaUrl"),
        ("networkPolicy.enabled", "yes", "/networkPolicy/enabled"),
        ("podAnnotations.owner", 1, "/podAnnotations/owner"),
        ("resources.memory", "1Gi", "'memory'"),
        ("livenessProbe.timeout", 1, "'timeout'"),
        ("fullnameOverride", "Exporter", "/fullnameOverride"),
        ("extraArgs", [1], "/extraArgs/0"),
    ],
)
def test_a_mistake_is_rejected_with_the_name_of_the_value(path: str, value: object, named: str) -> None:
    with pytest.raises(helm.HelmError) as rejected:
        render(changed(values_of("default"), path, value))
    assert named in str(rejected.value)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "config.projects: is required"),
        (values_of("default") | {"existingConfigMap": "mine"}, "existingConfigMap: cannot be combined"),
        (
            values_of("existing") | {"usersFile": {"content": "a", "existingConfigMap": "b"}},
            "usersFile.existingConfigMap: cannot be combined",
        ),
        (
            values_of("default") | {"web": {"config": {"basic_auth_users": {"a": "b"}}, "existingSecret": "b"}},
            "web.existingSecret: cannot be combined",
        ),
        (
            values_of("default") | {"web": {"config": {"tls_server_config": {"min_version": "TLS13"}}}},
            "web.config.tls_server_config: requires web.tlsSecret",
        ),
    ],
)
def test_values_that_contradict_each_other_are_rejected(values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=re.escape(message)):
        render(values)


def settings_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and schema of every setting in the schema of the configuration."""
    if "properties" in schema:
        for name, each in schema["properties"].items():
            yield from settings_of(each, f"{path}.{name}".removeprefix("."))
    elif "properties" in schema.get("items", {}):
        yield from settings_of(schema["items"], f"{path}[]")
    else:
        yield path, schema


def test_the_schema_knows_every_setting_but_secrets_and_those_of_the_chart() -> None:
    schema = dict(settings_of(json.loads(values_schema(ROOT))["properties"]["config"]))
    for setting in all_settings():
        ours = setting.is_secret or setting.path.startswith("shard.")
        ours |= setting.path in {"web.listen_address", "web.systemd_socket", "web.config_file"}
        below = any(path.startswith((f"{setting.path}.", f"{setting.path}[]")) for path in schema)
        assert (setting.path in schema or below) != ours, setting.path


def test_the_schema_is_of_the_draft_that_all_versions_of_helm_read() -> None:
    schema = json.loads((ROOT / CHART / "values.schema.json").read_text("utf-8"))
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(schema)


def test_the_schema_accepts_every_duration_as_text_and_as_seconds() -> None:
    schema = dict(settings_of(json.loads(values_schema(ROOT))["properties"]["config"]))
    durations = [setting.path for setting in all_settings() if is_duration(setting.field)]
    assert len(durations) > 5
    for path in durations:
        for value in ("1h30m", "0", 90, 0.5):
            jsonschema.validate(value, schema[path])


def test_the_values_of_the_readme_are_the_default_set() -> None:
    readme = (ROOT / CHART / "README.md").read_text("utf-8").split(BEGIN)[0]
    (written,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert load(written) == load(SETS["default"])


def test_the_commands_of_the_readme_install_this_chart_with_its_secret(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    readme = (ROOT / CHART / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    namespace, secret, upgrade = (shlex.split(line) for line in block.replace("\\\n", "").splitlines())
    assert namespace == ["kubectl", "create", "namespace", upgrade[upgrade.index("--namespace") + 1]]
    for key in ("ak", "sk"):
        (tmp_path / key).write_text("secret\n")
    words = moved(secret[1:], {"--from-file=": f"--from-file={tmp_path}/"})
    code, told, _ = call(tool("kubectl"), *words, "--dry-run=client", "--output=yaml")
    assert code == 0
    made, values = load(told), values_of("default")
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == (namespace[3], values["existingSecret"])
    assert {f"/run/secrets/{key}" for key in made["data"]} == set(values["config"]["projects"][0]["auth"].values())
    assert upgrade[:5] == ["helm", "upgrade", "--install", "workspace-exporter", str(CHART)]


def test_the_notes_name_the_workload_and_the_secret() -> None:
    for name, kind in (("default", "deployment"), ("sharded", "statefulset")):
        notes = texts(values_of(name))["NOTES.txt"]
        assert f"kubectl -n vdi rollout status {kind}/workspace-exporter" in notes
        assert "create secret generic workspace-exporter --from-file=ak --from-file=sk" in notes
    assert "Set existingSecret" in texts(changed(values_of("default"), "existingSecret", ""))["NOTES.txt"]
