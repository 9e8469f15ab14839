"""The structure of the package: one import style, and imports that go one way."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import exporter

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(exporter.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
FACES = {"exporter", "exporter.config", "exporter.doctor", "exporter.fleet", "exporter.simulator"}
"""Packages whose names are imported from the package itself."""


def name_of(path: Path) -> str:
    parts = ("exporter", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def own_imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Modules of the package that a module imports from, with the names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "exporter":
            yield str(node.module), [each.name for each in node.names]
        elif isinstance(node, ast.Import):
            yield from ((each.name, []) for each in node.names if each.name.split(".")[0] == "exporter")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_names_at_its_top_from_the_modules_that_define_them(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "TYPE_CHECKING" not in text
    for module, names in own_imports(path):
        assert names, f"import {module}"
        if module not in FACES - {"exporter"}:
            assert not {f"{module}.{name}" for name in names} & NAMES, "a module is no name"
        inside = name_of(path).startswith(module) or path.name == "__init__.py"
        assert inside or module in FACES or not (ROOT.parent / module.replace(".", "/")).is_dir()


def test_no_modules_import_each_other() -> None:
    imports = {name_of(path): {module for module, _ in own_imports(path)} - FACES for path in MODULES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way, module))
        if module not in done:
            for each in sorted(imports.get(module, ())):
                visit(each, (*way, module))
            done.add(module)

    for module in sorted(imports):
        visit(module, ())
