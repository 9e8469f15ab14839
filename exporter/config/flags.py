"""Command-line flags, made from the settings: `--poll.interval 30s`."""

import argparse
import json
from typing import Literal, get_args, get_origin

from exporter.config.durations import is_duration
from exporter.config.environment import CONFIG_FILE, flag
from exporter.config.tree import Leaf, outside_lists


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--config.file` and a flag for every setting that holds one value."""
    parser.add_argument(
        flag(CONFIG_FILE), dest=CONFIG_FILE, metavar="FILE", default=argparse.SUPPRESS, help="The YAML file to read."
    )
    for leaf in outside_lists().values():
        if leaf.is_list:
            continue
        is_switch = leaf.field.annotation is bool
        parser.add_argument(
            flag(leaf.path),
            dest=leaf.path,
            action=argparse.BooleanOptionalAction if is_switch else "store",
            metavar=None if is_switch else _metavar(leaf),
            default=argparse.SUPPRESS,
            help=_help(leaf),
        )


def given_flags(namespace: argparse.Namespace) -> dict[str, str]:
    """Return the flags that were given, by the setting's path."""
    known = {CONFIG_FILE, *outside_lists()}
    given = {path: value for path, value in vars(namespace).items() if path in known}
    return {path: value if isinstance(value, str) else json.dumps(value) for path, value in given.items()}


def _help(leaf: Leaf) -> str:
    text = f"{leaf.meaning} (default: {leaf.default})" if leaf.default else leaf.meaning
    return text.replace("`", "").replace("%", "%%")


def _metavar(leaf: Leaf) -> str:
    if get_origin(leaf.field.annotation) is Literal:
        return "|".join(get_args(leaf.field.annotation))
    if is_duration(leaf.field):
        return "DURATION"
    name = leaf.path.rpartition(".")[2].upper()
    return "FILE" if name.endswith("_FILE") else name
