"""The commands in the documents work, unless they need a daemon, a cluster or the release."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import DOCUMENTS, blocks, read
from support.exporters import until
from support.ways_to_run import DEPLOY, ROOT, at_work, call, free_address, load, load_all, moved, python, serving

from exporter.config.settings import shard_of
from exporter.simulator import Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

README = read(ROOT / "README.md")
GUIDE = read(DEPLOY / "README.md")
RUNBOOK = read(DEPLOY / "RUNBOOK.md")
UNITS = ["workspace-exporter.service", "workspace-exporter@.service"]

TESTED = {
    r"make [\w-]+.*": "test_every_make_target_in_a_document_exists",
    r"docker compose .*": "test_the_compose_commands_are_of_valid_projects_and_services",
    r"docker build .*|docker run .* demo .*": "deploy/test_image.py::test_every_deployment_names_this_version",
    r"docker run .*--config.check": "test_doctor_and_check_commands_are_valid",
    r"workspace-exporter .*--shard.*": "test_shard_commands_are_valid",
    r"(/opt/workspace-exporter/bin/)?workspace-exporter .*": "test_the_commands_of_the_readme_start_the_exporter",
    r"curl .*": "test_the_commands_of_the_readme_start_the_exporter",
    r"cat broken.yml": "test_documents.py::test_the_broken_configuration_has_the_mistakes_that_are_shown",
    r"(INSTANCE=\w+ )?workspace-exporter-try .*|install .*|systemd-sysusers|systemctl .*": (
        "test_its_installation_puts_the_units_and_their_files_where_the_units_look"
    ),
    r"mkdir .*|cp .*|sudo install .*": "deploy/test_compose.py::test_with_an_account_it_reads_the_configuration_and",
    r"python3 -m venv .*|/opt/workspace-exporter/bin/pip install .*": "test_package.py::test_the_commands_of_the_",
    r"promtool check config .*": "deploy/test_rules.py::test_prometheus_takes_the_configuration_and_the_rules",
    r"amtool check-config .*": "deploy/test_alertmanager.py::test_alertmanager_takes_the_configuration",
    r"kubectl .*-scraping .*": "deploy/test_kubernetes.py::test_the_monitor_takes_tls_and_a_password",
    r"kubectl .* create secret .*": "test_the_secret_is_the_one_that_the_pod_mounts",
    r"kubectl .*": "test_the_resources_of_kubectl_commands_are_in_the_manifests",
    r"openssl .*|\(umask .*|cat > web.yml.*": "test_prometheus.py::test_the_documented_way_to_tls_and_passwords_works",
    r"\.venv/bin/python -m pytest .*": "test_every_file_of_tests_in_a_document_exists",
    r"helm .*": "deploy/test_helm.py::test_the_commands_of_the_readme_install_this_chart",
}
"""Patterns of commands, each with the beginning of the name of its test, in this file unless another one is named."""


def commands(first_word: str, document: str = GUIDE) -> list[list[str]]:
    """Return the commands of a document that begin with a word."""
    lines = [line for block in blocks(document) if block.language == "sh" for line in block.commands()]
    return [shlex.split(line) for line in lines if re.match(rf"{first_word}\b", line)]


def typed(document: Path) -> list[str]:
    """Return the commands of a document that tests try."""
    found = [block for block in blocks(read(document)) if block.language in {"sh", "console"} and not block.untested]
    return [command for block in found for command in block.commands()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_has_a_test_or_a_reason(document: Path) -> None:
    assert [text for text in typed(document) if not any(re.fullmatch(pattern, text) for pattern in TESTED)] == []


def test_every_pattern_is_of_a_command_and_of_a_test() -> None:
    all_of_them = [command for document in DOCUMENTS for command in typed(document)]
    for pattern, test in TESTED.items():
        assert any(re.fullmatch(pattern, command) for command in all_of_them), pattern
        file, _, name = test.rpartition("::")
        source = (ROOT / "tests" / (file or "deploy/test_commands.py")).read_text("utf-8")
        assert f"def {name}" in source, test


def test_every_make_target_in_a_document_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {match for path in DOCUMENTS for match in re.findall(r"(?:^|`)make ([\w-]+)", read(path), re.MULTILINE)}
    assert named - targets == set()
    assert "demo" in named


def test_every_file_of_tests_in_a_document_exists() -> None:
    for document in DOCUMENTS:
        for command in typed(document):
            if " -m pytest " in command:
                assert (ROOT / command.split()[-1]).exists()


async def test_the_commands_of_the_readme_start_the_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written, with the simulated cloud in place of the real one and another port."""
    monkeypatch.chdir(tmp_path)
    simulator = Simulator(SimulatorOptions(users=3, quota=0))
    account = simulator.options.account
    async with simulator.serve() as url:
        for name, secret in (("ak", account.access_key), ("sk", account.secret_key)):
            (tmp_path / name).write_text(secret)
        written = load(next(block.text for block in blocks(README) if block.language == "yaml"))
        written["projects"][0] |= {"project_id": account.project_id, "endpoints": {"sessions": url, "users": url}}
        (tmp_path / "workspace-exporter.yml").write_text(json.dumps(written))
        check, doctor, start = (words[1:] for words in commands("workspace-exporter", README))
        code, told, wrong = await asyncio.to_thread(python, "-m", "exporter", *check)
        assert (code, wrong) == (0, "")
        assert told.startswith("The configuration is valid")
        code, told, _ = await asyncio.to_thread(python, "-m", "exporter", *doctor)
        assert (code, "0 FAIL" in told) == (0, True), told
        address = free_address()
        flags = ("--web.listen-address", address, "--web.enable-lifecycle")
        async with at_work(*start, *flags) as process:
            await serving(address)
            (scrape,) = [command for command in typed(ROOT / "README.md") if command.startswith("curl")]
            wanted = re.compile(shlex.split(scrape)[-1])
            page = f"http://{address}/{scrape.partition('10099/')[2].split()[0]}"
            text = await until(lambda text: "workspace_sessions{" in text and "session_starts_total{" in text, page)
            shown = re.findall(r"^(huaweicloud_\w+)\{.*$", README, re.MULTILINE)
            assert [line.partition("{")[0] for line in text.splitlines() if wanted.match(line)] == shown
            (reload,) = [command for command in typed(ROOT / "CONFIGURATION.md") if command.startswith("curl")]
            assert await posted(reload.replace("localhost:10099", address)) == 0
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


async def posted(command: str) -> int:
    """Return the exit code of a curl command, which fails for error statuses."""
    process = await asyncio.create_subprocess_exec(*shlex.split(command), "--fail", stdout=asyncio.subprocess.DEVNULL)
    return await process.wait()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_documents_name_in_deploy_exists(document: Path) -> None:
    """Except for the files that people put there."""
    named = set(re.findall(r"(?<![/\w])deploy/[\w./@-]*\w", read(document)))
    own = {"deploy/config", "deploy/secrets"}
    ours = (path for path in sorted(named) if "/".join(path.split("/")[:2]) not in own)
    assert [path for path in ours if not any((folder / path).exists() for folder in (ROOT, document.parent))] == []
    assert own <= {f"{line.rstrip('/')}" for line in (ROOT / ".gitignore").read_text().splitlines()}


def test_the_compose_commands_are_of_valid_projects_and_services(tool: Callable[[str], str]) -> None:
    """Each with `config` in place of what needs a daemon."""
    typed = [words for text in (README, GUIDE, RUNBOOK) for words in commands("docker compose", text)]
    typed += [
        shlex.split(line.replace("\n", " "))
        for line in re.findall(r"`(docker compose [^`]*)`", README + GUIDE + RUNBOOK)
    ]
    doing = {"up", "down", "run", "kill", "restart", "logs"}
    assert {next(word for word in words if word in doing) for words in typed} == doing
    for words in typed:
        verb = next(position for position, word in enumerate(words) if word in doing)
        files = [str(ROOT / word) if word.endswith(".yaml") else word for word in words[2:verb]]
        code, services, wrong = call(tool("docker-compose"), *files, "config", "--services")
        assert (code, wrong) == (0, "")
        named = {word for word in words[verb:] if word in {"exporter", "prometheus", "alertmanager"}}
        assert named <= set(services.split())
        assert named or words[verb] in {"up", "down"}


def test_doctor_and_check_commands_are_valid() -> None:
    """Whatever runs the exporter's command, it gets words that are understood: the file is not there, and is missed."""
    typed = [*commands("docker", RUNBOOK), *commands("kubectl", RUNBOOK), *commands("/opt", RUNBOOK)]
    queried = [words for words in typed if any(word.startswith("--config.file") for word in words)]
    assert len(queried) == 5
    for words in queried:
        begin = next(position for position, word in enumerate(words) if word.startswith("--config.file"))
        code, _, wrong = python("-m", "exporter", *moved(words[begin:], {"/etc/": "/nowhere/"}))
        assert code == 1
        assert re.search(r"workspace-exporter.yml.*No such file", wrong), wrong


def test_shard_commands_are_valid() -> None:
    """As processes of their own: the file is not there, and is all that is missed."""
    typed = [words for words in commands("workspace-exporter") if words[0] == "workspace-exporter"]
    assert [words[-1] for words in typed] == ["0", "1"]
    for words in typed:
        code, _, wrong = python("-m", "exporter", *moved(words[1:], {"workspace-exporter.yml": "/nowhere/file.yml"}))
        assert code == 1
        assert re.fullmatch(r"/nowhere/file.yml: .*No such file.*\n", wrong), wrong


def test_its_installation_puts_the_units_and_their_files_where_the_units_look(
    tool: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As written, with another root of the file system, and without the group that only root can set."""
    tool("systemd-sysusers")  # it is for machines with systemd
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").symlink_to(DEPLOY)
    for name in ("ak", "sk"):
        (tmp_path / name).write_text("secret\n")
    (tmp_path / "etc/systemd/system").mkdir(parents=True)  # Debian has no /etc/sysusers.d
    programs = tmp_path / "sbin"
    programs.mkdir()
    for words in commands("install"):
        ours = [word for word in words if word not in {"-g", "workspace-exporter"}]
        places = {"/etc/": f"{tmp_path}/etc/", "/usr/local/sbin": str(programs)}
        assert call(*moved(ours, places)) == (0, "", "")
    assert call(programs / "workspace-exporter-try")[2].endswith("name what to run, such as doctor or --config.check\n")
    etc = tmp_path / "etc"
    assert sorted(path.name for path in (etc / "systemd/system").iterdir()) == UNITS
    unit = (etc / "systemd/system" / UNITS[0]).read_text()
    for path in re.findall(r"[=:]-?/etc/(workspace-exporter/[\w./-]+)", unit):
        assert (etc / path).exists(), path
    secrets = etc / "workspace-exporter/secrets"
    assert [(path.name, oct(path.stat().st_mode)[-3:]) for path in sorted(secrets.iterdir())] == [
        ("ak", "600"),
        ("sk", "600"),
    ]


@pytest.mark.parametrize("document", [GUIDE, RUNBOOK], ids=["created", "replaced"])
def test_the_secret_is_the_one_that_the_pod_mounts(
    document: str, tool: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ak", "sk"):
        (tmp_path / name).write_text("secret\n")
    words, *others = [words for words in commands("kubectl", document) if "--from-file=ak" in words]
    assert [words] * len(others) == others, "Helm and Kustomize"
    words = words[: words.index("|")] if "|" in words else words
    code, told, _ = call(tool("kubectl"), *words[1:], "--dry-run=client", "--output=yaml")
    assert code == 0
    secret = load(told)
    pod = load(DEPLOY / "kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    assert pod["volumes"][1]["secret"]["secretName"] == secret["metadata"]["name"]
    assert secret["data"].keys() == {"ak", "sk"}
    assert secret["metadata"]["namespace"] == load(DEPLOY / "kubernetes/example/kustomization.yaml")["namespace"]


def test_the_resources_of_kubectl_commands_are_in_the_manifests(tool: Callable[[str], str]) -> None:
    """The Deployment, the StatefulSet of the shards, and their pods by name and by label."""
    found: dict[str, Any] = {}
    for overlay in ("example", "example-sharded"):
        _, built, _ = call(tool("kubectl"), "kustomize", DEPLOY / "kubernetes" / overlay)
        found |= {manifest["kind"].lower(): manifest for manifest in load_all(built)}
    text = GUIDE + RUNBOOK
    typed = re.findall(r"\b(deployment|statefulset)/([a-z-]+)(?![\w.])", text)
    assert {kind for kind, _ in typed} == {"deployment", "statefulset"}
    assert all(found[kind]["metadata"]["name"] == name for kind, name in typed)
    pods = found["statefulset"]
    numbered = set(re.findall(r"\bexec (\S+-\d+) --", text))
    assert numbered
    assert numbered <= {f"{pods['metadata']['name']}-{index}" for index in range(pods["spec"]["replicas"])}
    labels = set(re.findall(r"logs -l (\S+)=(\S+)", text))
    assert labels
    for kind in ("deployment", "statefulset"):
        assert labels <= found[kind]["spec"]["template"]["metadata"]["labels"].items()


def test_the_doctor_in_a_shard_s_pod_looks_at_that_shard_s_projects(tmp_path: Path) -> None:
    """A command beside the exporter has its environment, but not the index from its name."""
    (words,) = [words for words in commands("kubectl", RUNBOOK) if words[-1].startswith("--shard.index")]
    nowhere = {"sessions": "http://127.0.0.1:1", "users": "http://127.0.0.1:1"}
    alike = {"endpoints": nowhere, "auth": {"token": "t"}, "users": ["user001"]}
    projects = [{"name": f"p{n}", "project_id": f"{n:032x}", **alike} for n in range(12)]
    (tmp_path / "workspace-exporter.yml").write_text(json.dumps({"projects": projects}))
    queried = moved(words[words.index("--") + 2 :], {"/etc/workspace-exporter": str(tmp_path)})
    _, told, wrong = python("-m", "exporter", *queried, WORKSPACE_EXPORTER_SHARD__TOTAL="2")
    assert wrong == ""
    ours = [each["name"] for each in projects if shard_of(str(each["project_id"]), 2) == 1]
    assert re.findall(r"^project (\w+)$", told, re.MULTILINE) == ours
    everywhere = [word.replace("--shard.index", "--shard.total") for word in queried]
    _, told, _ = python("-m", "exporter", *everywhere, WORKSPACE_EXPORTER_SHARD__TOTAL="2")
    assert len(re.findall(r"^project ", told, re.MULTILINE)) == len(projects)


def test_its_directories_are_what_kustomize_builds(tool: Callable[[str], str]) -> None:
    named = set(re.findall(r"kubectl apply -k (deploy/\S+?)`?\s", GUIDE))
    assert named == {f"deploy/kubernetes/{overlay}" for overlay in ("example", "example-sharded")}
    for directory in named:
        assert call(tool("kubectl"), "kustomize", ROOT / directory)[0] == 0
