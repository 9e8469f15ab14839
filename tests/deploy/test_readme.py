"""What README and runbook tell people to type is tried, as far as no daemon and no cluster is needed."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from support.ways_to_run import DEPLOY, ROOT, call, load, load_all, moved, python

from exporter.config.settings import shard_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

README = (ROOT / "README.md").read_text("utf-8")
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text("utf-8")
UNITS = ["workspace-exporter.service", "workspace-exporter@.service"]


def commands(first_word: str, document: str = README) -> list[list[str]]:
    """The commands of a document that begin with a word."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", document, re.DOTALL)).replace("\\\n", " ")
    lines = [line.strip() for line in blocks.splitlines()]
    return [shlex.split(line) for line in lines if re.match(rf"{first_word}\b", line)]


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_what_the_documents_name_in_deploy_exists(document: str) -> None:
    """But for what people are told to put there."""
    named = set(re.findall(r"deploy/[\w./@-]*\w", (ROOT / document).read_text("utf-8")))
    own = {"deploy/config", "deploy/secrets"}
    ours = (path for path in sorted(named) if "/".join(path.split("/")[:2]) not in own)
    assert [path for path in ours if not (ROOT / path).exists()] == []
    assert own <= {f"{line.rstrip('/')}" for line in (ROOT / ".gitignore").read_text().splitlines()}


def test_the_compose_commands_are_of_valid_projects_and_services(tool: Callable[[str], str]) -> None:
    """Each with `config` in place of what needs a daemon."""
    typed = [*commands("docker compose"), *commands("docker compose", RUNBOOK)]
    typed += [shlex.split(line) for line in re.findall(r"`(docker compose [^`]*)`", README + RUNBOOK)]
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


@pytest.mark.parametrize("document", [README, RUNBOOK], ids=["README", "runbook"])
def test_every_section_that_is_linked_to_exists(document: str) -> None:
    def sections(text: str) -> set[str]:
        titles = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}

    linked = {re.sub(r"\s", "", target) for target in re.findall(r"\]\(([^)]*#[^)]*)\)", document)}
    assert linked
    for target in linked:
        file, _, section = target.partition("#")
        if "//" not in target:
            assert section in sections(RUNBOOK if file == "deploy/RUNBOOK.md" else document), target


def test_the_doctor_and_the_check_are_asked_as_the_command_line_wants_it() -> None:
    """Whatever runs the exporter's command, it gets words that are understood: the file is not there, and is missed."""
    typed = [*commands("docker", RUNBOOK), *commands("kubectl", RUNBOOK), *commands("/opt", RUNBOOK)]
    asked = [words for words in typed if any(word.startswith("--config.file") for word in words)]
    assert len(asked) == 5
    for words in asked:
        begin = next(position for position, word in enumerate(words) if word.startswith("--config.file"))
        code, _, wrong = python("-m", "exporter", *moved(words[begin:], {"/etc/": "/nowhere/"}))
        assert code == 1
        assert re.search(r"workspace-exporter.yml.*No such file", wrong), wrong


def test_shards_are_started_as_the_command_line_wants_it() -> None:
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
    """As written, but for the root of the file system, and the group that only root can give."""
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


@pytest.mark.parametrize("document", [README, RUNBOOK], ids=["made", "replaced"])
def test_the_secret_is_the_one_that_the_pod_mounts(
    document: str, tool: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ak", "sk"):
        (tmp_path / name).write_text("secret\n")
    (words,) = [words for words in commands("kubectl", document) if "--from-file=ak" in words]
    words = words[: words.index("|")] if "|" in words else words
    code, told, _ = call(tool("kubectl"), *words[1:], "--dry-run=client", "--output=yaml")
    assert code == 0
    secret = load(told)
    pod = load(DEPLOY / "kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    assert pod["volumes"][1]["secret"]["secretName"] == secret["metadata"]["name"]
    assert secret["data"].keys() == {"ak", "sk"}
    assert secret["metadata"]["namespace"] == load(DEPLOY / "kubernetes/example/kustomization.yaml")["namespace"]


def test_what_kubectl_is_told_of_is_in_the_manifests(tool: Callable[[str], str]) -> None:
    """A Deployment in the base, a StatefulSet where there are shards, their pods by name and by label."""
    found: dict[str, Any] = {}
    for overlay in ("example", "example-sharded"):
        _, built, _ = call(tool("kubectl"), "kustomize", DEPLOY / "kubernetes" / overlay)
        found |= {manifest["kind"].lower(): manifest for manifest in load_all(built)}
    text = README + RUNBOOK
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
    """What is run beside the exporter has its environment, and not the index that it takes from its name."""
    (words,) = [words for words in commands("kubectl", RUNBOOK) if words[-1].startswith("--shard.index")]
    nowhere = {"sessions": "http://127.0.0.1:1", "users": "http://127.0.0.1:1"}
    alike = {"endpoints": nowhere, "auth": {"token": "t"}, "users": ["user001"]}
    projects = [{"name": f"p{n}", "project_id": f"{n:032x}", **alike} for n in range(12)]
    (tmp_path / "workspace-exporter.yml").write_text(json.dumps({"projects": projects}))
    asked = moved(words[words.index("--") + 2 :], {"/etc/workspace-exporter": str(tmp_path)})
    _, told, wrong = python("-m", "exporter", *asked, WORKSPACE_EXPORTER_SHARD__TOTAL="2")
    assert wrong == ""
    ours = [each["name"] for each in projects if shard_of(str(each["project_id"]), 2) == 1]
    assert re.findall(r"^project (\w+)$", told, re.MULTILINE) == ours
    everywhere = [word.replace("--shard.index", "--shard.total") for word in asked]
    _, told, _ = python("-m", "exporter", *everywhere, WORKSPACE_EXPORTER_SHARD__TOTAL="2")
    assert len(re.findall(r"^project ", told, re.MULTILINE)) == len(projects)


def test_its_directories_are_what_kustomize_builds(tool: Callable[[str], str]) -> None:
    named = set(re.findall(r"kubectl apply -k (\S+?)`?\s", README))
    assert named == {f"deploy/kubernetes/{overlay}" for overlay in ("example", "example-sharded")}
    for directory in named:
        assert call(tool("kubectl"), "kustomize", ROOT / directory)[0] == 0
