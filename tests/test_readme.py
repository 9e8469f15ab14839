"""The README matches the code."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.readme import with_tables

from exporter import config
from exporter.cloud.client import IAM_ACTIONS, SESSIONS_A_PAGE
from exporter.metrics.families import DESCRIPTIONS
from exporter.polling.listings import USERS_A_PAGE
from exporter.polling.paging import OVERLAP
from exporter.polling.source import fits

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("file", ["README.md", "METRICS.md"])
def test_tables_are_those_of_the_code(file: str) -> None:
    """Run `make readme` if this fails."""
    text = (ROOT / file).read_text("utf-8")
    assert with_tables(text, file) == text


def test_its_metrics_are_exactly_the_code_s() -> None:
    (table,) = re.findall(r"<!-- metrics -->(.*)<!-- /metrics -->", README, re.DOTALL)
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == [description.name for description in DESCRIPTIONS]


def test_every_metric_that_it_mentions_exists() -> None:
    known = {description.full_name for description in DESCRIPTIONS}
    assert set(re.findall(r"huaweicloud_workspace_\w+[a-z]", README)) <= known | {"huaweicloud_workspace_"}


def test_its_configuration_is_valid(tmp_path: Path) -> None:
    (found,) = re.findall(r"```yaml\n(projects:.*?)```", README, re.DOTALL)
    values = YAML(typ="safe", pure=True).load(found)
    (project,) = values["projects"]
    files = [("users_file", project), *((name, project["auth"]) for name in ("access_key_file", "secret_key_file"))]
    for name, section in files:
        (tmp_path / name).write_text("content\n")
        section[name] = str(tmp_path / name)
    assert len(config.build(config.Layer("README", values)).projects[0].users) == 3


def test_its_broken_configuration_has_the_mistakes_that_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((broken, shown),) = re.findall(r"\$ cat broken.yml\n(.*?)\$ [^\n]*--config.check\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("broken.yml").write_text(broken)
    with pytest.raises(config.ConfigError) as error:
        config.load({"config.file": "broken.yml"}, {})
    assert f"{error.value}\n" == shown


def test_its_policy_allows_exactly_the_actions_in_use() -> None:
    (found,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (statement,) = json.loads(found)["Statement"]
    assert set(statement["Action"]) == set(IAM_ACTIONS.values())


def test_its_costs_are_those_of_the_code() -> None:
    """Calls and ages by the number of users, with three sessions for ten of them, as the defaults have it."""
    (table,) = re.findall(r"\| users \| calls a minute of[^\n]*\n\|[-|]*\n(.*?)\n\n", README, re.DOTALL)
    poll = config.Poll()
    for row in table.splitlines():
        number, sessions, accounts, age, alone = (cell.strip() for cell in row.strip("|").split("|"))
        users = int(number.replace(",", ""))
        sweep = pages(users * 3 // 10, SESSIONS_A_PAGE)
        in_turn = users * 60 / poll.rate_limit
        if fits(poll, users, poll.rate_limit):
            assert (sessions, accounts) == (f"{users}, 0", f"{users / 5:g}, 0")
            assert age == alone == "60 s"
        else:
            assert sessions == f"{poll.rate_limit:g}, {sweep}"
            assert accounts == f"0, {pages(users, USERS_A_PAGE) / 5:g}"
            assert age == f"{poll.interval + sweep * 60 / poll.rate_limit:.0f} s"
            assert alone == f"{in_turn // 60:.0f} min {math.ceil(in_turn % 60)} s"


def pages(entries: int, limit: int) -> int:
    return math.ceil(entries / (limit - OVERLAP))
