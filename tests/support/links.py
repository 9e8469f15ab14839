"""The address of the repository, which pyproject.toml has, and that of Grafana, wherever else they are.

`python tests/support/links.py [REPOSITORY] [GRAFANA]` writes other addresses into all files. An empty one stays.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
FOLDERS = (".github", "deploy", "exporter", "grafana", "tests")
_BINARY = {".png", ".pyc", ".gz"}
_GRAFANA = re.compile(r"https?://[^\s\"']+?(?=/d/huaweicloud-workspace-)")


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub. Its image and its chart are on ghcr.io."""

    address: str

    def forms(self) -> tuple[str, ...]:
        """Return every form in which files name it. Raise ValueError for an address that is not GitHub's."""
        found = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", self.address)
        if not found:
            raise ValueError(f"REPOSITORY={self.address}: must be such as https://github.com/owner/name")
        owner, name = found.groups()
        return (self.address, f"ghcr.io/{owner}/{name}".lower(), f"ghcr.io/{owner}/charts".lower(), f"@{owner}/")


def repository() -> Repository:
    """Return the repository that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return Repository(project["urls"]["Repository"])


def grafana() -> str:
    """Return the address of Grafana that the rules have. Raise ValueError if they have several."""
    addresses: set[str] = {found for path in RULES for found in _GRAFANA.findall(path.read_text("utf-8"))}
    (address,) = addresses
    return address


def files() -> list[Path]:
    """Return all text files of the project."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    found += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if path.suffix not in _BINARY)


def with_addresses(text: str, old: Repository, new: Repository, grafana: str) -> str:
    """Return the text with another repository, and with this address of Grafana in links to dashboards."""
    for before, after in zip(old.forms(), new.forms(), strict=True):
        text = re.sub(rf"{re.escape(before)}(?![\w.-])" if before[-1] != "/" else re.escape(before), after, text)
    return _GRAFANA.sub(grafana.rstrip("/"), text)


def main(chosen: str = "", chosen_grafana: str = "") -> None:
    """Write other addresses into all files."""
    old = repository()
    new, shown = Repository(chosen.rstrip("/")) if chosen else old, chosen_grafana or grafana()
    new.forms()
    for path in files():
        text = path.read_text("utf-8")
        changed = with_addresses(text, old, new, shown)
        if changed != text:
            path.write_text(changed, "utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))
