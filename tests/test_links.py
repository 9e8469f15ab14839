"""One command changes the address of the repository everywhere."""

from __future__ import annotations

import re
import tomllib

import pytest
from support.links import ROOT, RULES, Repository, files, grafana, repository, with_addresses

OTHER = Repository("https://github.com/Example/workspace.exporter")


def test_one_command_changes_every_address_of_the_repository_and_of_grafana() -> None:
    """And back again, so nothing else changes."""
    old, seen = repository(), set()
    for path in files():
        text = path.read_text("utf-8")
        changed = with_addresses(text, old, OTHER, "https://grafana.example.org/")
        if changed != text:
            seen.add(path.relative_to(ROOT).parts[0])
            assert not any(form in changed for form in old.forms()), path
            assert with_addresses(changed, OTHER, old, grafana()) == text, path
    assert seen >= {".github", "README.md", "deploy", "pyproject.toml"}


def test_every_address_on_github_or_its_registry_is_that_of_the_repository() -> None:
    """Except those of other projects."""
    owner = repository().address.split("/")[3]
    for path in files():
        for found in re.findall(r"(?:github\.com|ghcr\.io)/huaweicloud[\w.-]*/[\w.-]*\w", path.read_text("utf-8")):
            assert found.split("/")[1] == owner, (path, found)


def test_all_addresses_of_the_package_begin_with_that_of_the_repository() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls.keys() == {"Repository", "Documentation", "Changelog", "Issues"}
    assert all(address.startswith(repository().address) for address in urls.values())


def test_alerts_link_to_one_grafana() -> None:
    assert all(grafana() in path.read_text("utf-8") for path in RULES)


@pytest.mark.parametrize("address", ["https://git.example.org/a/b", "http://github.com/a/b", "https://github.com/a"])
def test_an_address_without_registry_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="must be such as"):
        Repository(address).forms()
