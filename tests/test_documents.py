"""The documents match the code, their links lead somewhere, and their configurations are valid."""

from __future__ import annotations

import json
import math
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from support.documents import DOCUMENTS, ROOT, anchors, blocks, links, read
from support.questions import QUESTIONS, query
from support.readme import TABLES, with_tables

from exporter import config
from exporter.cloud.client import IAM_ACTIONS, SESSIONS_A_PAGE
from exporter.config.shown import SECRET
from exporter.metrics.families import DESCRIPTIONS
from exporter.polling.listings import USERS_A_PAGE
from exporter.polling.paging import OVERLAP
from exporter.polling.source import fits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GENERATED = {path for path in DOCUMENTS if path.name in TABLES}
LINES = {"README.md": 200, "CONTRIBUTING.md": 120, "deploy/RUNBOOK.md": 343}
"""Lines that a document may have. The runbook once had 686."""


@pytest.mark.parametrize("document", sorted(GENERATED), ids=str)
def test_tables_are_those_of_the_code(document: Path) -> None:
    """Run `make readme` if this fails."""
    text = read(document)
    assert with_tables(text, document.name) == text


def test_every_document_with_a_table_exists() -> None:
    assert {path.name for path in GENERATED} == TABLES.keys()


@pytest.mark.parametrize(("document", "most"), LINES.items())
def test_a_document_is_short(document: str, most: int) -> None:
    assert len(read(ROOT / document).splitlines()) <= most


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_section(document: Path) -> None:
    for target in links(read(document)):
        file, _, section = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), target
        assert not section or section in anchors(read(path)), target


def test_a_missing_section_would_be_found() -> None:
    text = "# One\n\n## Two words, `code`\n\n[there](#two-words-code) [not there](#three)\n"
    assert [target for target in links(text) if target.removeprefix("#") not in anchors(text)] == ["#three"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_metric_in_a_document_exists(document: Path) -> None:
    known = {description.full_name for description in DESCRIPTIONS}
    suffixes = "_bucket|_count|_sum"
    named = re.findall(r"(?<![:\w])huaweicloud_workspace_\w+[a-z]", read(document))
    assert {re.sub(rf"({suffixes})$", "", name) for name in named} <= known


def test_every_metric_answers_a_question(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Prometheus understands each query, which is about its own metric and about existing ones only."""
    assert QUESTIONS.keys() == {description.name for description in DESCRIPTIONS}
    known = {description.full_name for description in DESCRIPTIONS}
    for name in QUESTIONS:
        used = {re.sub("_bucket$", "", each) for each in re.findall(r"huaweicloud_workspace_\w+", query(name))}
        assert f"huaweicloud_workspace_{name}" in used <= known
    rules = [{"record": f"q:{name}", "expr": query(name)} for name in QUESTIONS]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "questions", "rules": rules}]}))
    command = [tool("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert (done.returncode, f"{len(QUESTIONS)} rules found" in done.stdout) == (0, True), done.stderr


def configurations() -> list[Any]:
    """Return every configuration in a document, as the file has it."""
    found = []
    for document in DOCUMENTS:
        for block in blocks(read(document)):
            if block.language == "yaml" and re.search(r"^projects:|^config:", block.text, re.MULTILINE):
                values = YAML(typ="safe", pure=True).load(block.text)
                found.append(pytest.param(values.get("config", values), id=f"{document.name}:{block.line}"))
    return found


@pytest.mark.parametrize("values", configurations())
def test_every_configuration_in_a_document_is_valid(values: Any, tmp_path: Path) -> None:
    """Files of secrets and users are there when the exporter starts."""

    def with_files(value: Any) -> Any:
        if isinstance(value, list):
            return [with_files(each) for each in value]
        if not isinstance(value, dict):
            return value
        made = {key: with_files(each) for key, each in value.items()}
        for key in made:
            if key.endswith("_file"):
                made[key] = str(tmp_path / key)
                (tmp_path / key).write_text("a-long-enough-content\n")
        return made

    assert config.build(config.Layer("document", with_files(values))).projects


def test_there_are_configurations_to_try() -> None:
    assert len(configurations()) >= 8


def test_the_broken_configuration_has_the_mistakes_that_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = read(ROOT / "CONFIGURATION.md")
    ((broken, shown),) = re.findall(r"\$ cat broken.yml\n(.*?)\$ [^\n]*--config.check\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yml").write_text(broken)
    with pytest.raises(config.ConfigError) as error:
        config.load({"config.file": "broken.yml"}, {})
    assert f"{error.value}\n" == shown


def test_the_policy_allows_exactly_the_actions_in_use() -> None:
    (found,) = re.findall(r"```json\n(.*?)```", read(ROOT / "CONFIGURATION.md"), re.DOTALL)
    (statement,) = json.loads(found)["Statement"]
    assert set(statement["Action"]) == set(IAM_ACTIONS.values())


def test_masked_secrets_look_as_documented() -> None:
    assert SECRET in read(ROOT / "SECURITY.md")


def test_the_requests_by_size_are_those_of_the_code() -> None:
    """Requests and ages by the number of users, with three sessions for ten of them, and the default settings."""
    text = read(ROOT / "deploy/README.md")
    (table,) = re.findall(r"\| users \| requests per minute[^\n]*\n\|[-|]*\n(.*?)\n\n", text, re.DOTALL)
    poll = config.Poll()
    for row in table.splitlines():
        number, sessions, accounts, age, alone = (cell.strip() for cell in row.strip("|").split("|"))
        users = int(number.replace(",", ""))
        scan = pages(users * 3 // 10, SESSIONS_A_PAGE)
        in_turn = users * 60 / poll.rate_limit
        if fits(poll, users, poll.rate_limit):
            assert (sessions, accounts) == (f"{users}, 0", f"{users / 5:g}, 0")
            assert age == alone == "60 s"
        else:
            assert sessions == f"{poll.rate_limit:g}, {scan}"
            assert accounts == f"0, {pages(users, USERS_A_PAGE) / 5:g}"
            assert age == f"{poll.interval + scan * 60 / poll.rate_limit:.0f} s"
            assert alone == f"{in_turn // 60:.0f} min {math.ceil(in_turn % 60)} s"


def pages(entries: int, limit: int) -> int:
    return math.ceil(entries / (limit - OVERLAP))
