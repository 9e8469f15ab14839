"""The users file, and the one list of users made from it and the configuration."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from exporter.config.explain import explain
from exporter.config.mistakes import Mistake, Place
from exporter.config.settings import User

_COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True)
class Listed:
    """A user and where it was named."""

    user: User
    place: Place


@dataclass(frozen=True)
class UsersFile:
    """What a users file holds, and the lines that are wrong."""

    listed: tuple[Listed, ...]
    mistakes: tuple[Mistake, ...]


def parse_users(text: str, path: Path) -> UsersFile:
    """Read one `name` or `name,id` a line; `#` begins a comment at the line's start or after space."""
    listed: list[Listed] = []
    mistakes: list[Mistake] = []
    for number, line in enumerate(text.split("\n"), start=1):
        content = _COMMENT.sub("", line).strip()
        if content:
            place = Place(f"{path}:{number}", "")
            try:
                listed.append(Listed(_user(content), place))
            except ValidationError as error:
                mistakes += (Mistake(*place, f"the user's {loc[-1]} {reason}") for loc, reason in explain(error))
    if not listed and not mistakes:
        mistakes.append(Mistake(str(path), "", "names no user; leave users_file out if there are none"))
    return UsersFile(tuple(listed), tuple(mistakes))


def doubled(listed: Iterable[Listed]) -> Iterator[Mistake]:
    """Yield a mistake for each user whose name stands there before."""
    first: dict[str, Place] = {}
    for each in listed:
        before = first.setdefault(each.user.name, each.place)
        if before is not each.place:
            yield Mistake(*each.place, f"is the same user as {before}; keep one of them")


def _user(content: str) -> User:
    name, comma, user_id = content.partition(",")
    return User.model_validate({"name": name, "id": user_id if comma else None})
