"""What the README tells people to type is tried, as far as no daemon and no cluster is needed."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from support.ways_to_run import DEPLOY, ROOT, call, load, moved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

README = (ROOT / "README.md").read_text("utf-8")
UNITS = ["workspace-exporter.service", "workspace-exporter@.service"]


def commands(first_word: str) -> list[list[str]]:
    """The README's commands that begin with a word."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in blocks.splitlines() if re.match(rf"{first_word}\b", line)]


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_what_the_documents_name_in_deploy_exists(document: str) -> None:
    """But for what people are told to put there."""
    named = set(re.findall(r"deploy/[\w./@-]*\w", (ROOT / document).read_text("utf-8")))
    own = {"deploy/config", "deploy/secrets"}
    assert [path for path in sorted(named - own) if not (ROOT / path).exists()] == []
    assert own <= {f"{line.rstrip('/')}" for line in (ROOT / ".gitignore").read_text().splitlines()}


def test_its_compose_commands_are_of_valid_projects(tool: Callable[[str], str]) -> None:
    """Each with `config` in place of what needs a daemon."""
    found = commands("docker compose")
    assert len(found) == 2
    for words in found:
        upto = words.index("up")
        files = [str(ROOT / word) if word.endswith(".yaml") else word for word in words[2:upto]]
        assert call(tool("docker-compose"), *files, "config", "--quiet") == (0, "", "")


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
    for words in commands("install"):
        ours = [word for word in words if word not in {"-g", "workspace-exporter"}]
        assert call(*moved(ours, {"/etc/": f"{tmp_path}/etc/"})) == (0, "", "")
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


def test_its_secret_is_the_one_that_the_pod_mounts(
    tool: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ak", "sk"):
        (tmp_path / name).write_text("secret\n")
    (words,) = [words for words in commands("kubectl") if "create" in words]
    code, told, _ = call(tool("kubectl"), *words[1:], "--dry-run=client", "--output=yaml")
    assert code == 0
    secret = load(told)
    pod = load(DEPLOY / "kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    assert pod["volumes"][1]["secret"]["secretName"] == secret["metadata"]["name"]
    assert secret["data"].keys() == {"ak", "sk"}
    assert secret["metadata"]["namespace"] == load(DEPLOY / "kubernetes/base/kustomization.yaml")["namespace"]


def test_its_directories_are_what_kustomize_builds(tool: Callable[[str], str]) -> None:
    named = set(re.findall(r"kubectl apply -k (\S+?)`?\s", README))
    assert named == {"deploy/kubernetes/base", "deploy/kubernetes/with-operator"}
    for directory in named:
        assert call(tool("kubectl"), "kustomize", ROOT / directory)[0] == 0
