"""What stands in the files that the configuration names: users, who join the list; the rest must only be right.

Secrets stay in their files, where they may change while the exporter runs.
"""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path

from exporter.config import web_file
from exporter.config.files import UnreadableError, check_authorities, named_files, read_text
from exporter.config.layers import Listed, Merged
from exporter.config.mistakes import Loc, Told
from exporter.config.settings import User
from exporter.config.values import one_line

_COMMENT = re.compile(r"(?:^|\s)#.*")


def read(merged: Merged) -> Iterator[Told]:
    """Add the users of users files to the users of their projects; yield which file is of no use, and why."""
    for loc, path, section in list(named_files(merged.values)):  # all found before users are added to what is searched
        try:
            match loc:
                case (*_, "ca_file"):
                    check_authorities(path)
                case ("projects", _, "users_file"):
                    _add_users(merged, loc[:-1], section, path)
                case ("web", "config_file"):
                    yield from _wrong_in_web_file(merged, loc, path)
                case _:
                    one_line(read_text(path))
        except ValueError as error:
            yield loc, f"the file {path} {error}"


def parse_users(text: str) -> Iterator[tuple[int, User]]:
    """Yield number and user of every line `name` or `name,id`; `#` begins a comment at the start or after space."""
    for number, line in enumerate(text.split("\n"), start=1):
        content = _COMMENT.sub("", line).strip()
        if content:
            name, comma, user_id = content.partition(",")
            yield number, User(name, user_id if comma else None)


def _wrong_in_web_file(merged: Merged, loc: Loc, path: Path) -> Iterator[Told]:
    try:
        web_file.read(path)
    except web_file.RefusedError as refused:
        merged.lines[loc] = str(path)
        yield from (((*loc, *inner), reason) for inner, reason in refused.told)


def _add_users(merged: Merged, project_loc: Loc, project: dict[str, object], path: Path) -> None:
    users = project.setdefault("users", [])
    present = users if isinstance(users, list) else []  # what is no list is told of by whoever checks it
    listed = Listed(path, len(present), array("L"))
    for number, user in parse_users(read_text(path)):
        listed.numbers.append(number)
        present.append(user)
    if not listed.numbers:
        raise UnreadableError("names no user; leave it out if there are none")
    merged.listed[*project_loc, "users"] = listed
