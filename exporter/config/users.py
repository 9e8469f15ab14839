"""The list of users: the lines of a users file, users who are in it twice, and names that look alike."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.config.files import UnusableError, read_text
from exporter.config.mistakes import ConfigError, Loc, Located, Mistake, Values, dotted, ignore, validate
from exporter.config.names import folded
from exporter.config.settings import User, WrittenUser
from exporter.files import Version, version

_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_FIELDS = re.compile("[,;\t|]")
_HEADER = "looks like the header of a table; remove it, or put a user who is really called that further down"
# Titles of a first column, of one that may as well be a user, and of further columns; without spaces and punctuation.
_NAME_TITLES = {"name", "names", "username", "usernames", "users", "loginname", "loginuser", "samaccountname", "用户名"}
_DOUBTFUL_TITLES = {"user", "login", "account", "accountname", "id", "userid", "email", "mail", "upn"}
_FURTHER_TITLES = {"id", "ids", "userid", "uid", "objectsid", "name", "username", "domain", "group", "email", "用户id"}

Entries = Sequence[User | None]  # a list of users; None stands for an entry that has a mistake


def read_user(written: Any) -> tuple[User | None, Mapping[Loc, str]]:  # noqa: ANN401 - whatever a file holds
    """Return a user as it is written, or None, and what is wrong by location."""
    user, wrong = validate(WrittenUser, written)
    return User(user.name, user.id, user.domain) if user else None, wrong


@dataclass(frozen=True)
class UserList:
    """What a users file adds to the users written in its project, and what is wrong or doubtful about any of them."""

    of_file: Sequence[User]  # the users of `users_file`
    version: Version | None  # of that file, as it was read
    problems: Sequence[Located]
    doubts: Sequence[Located]


def read_list(project_loc: Loc, project: Values, wrong: set[Loc], place: Callable[[Loc], str]) -> UserList:
    """Read the users file of a project, and compare its users and those that are written in the project.

    `wrong` has every location that contains a mistake. `place` returns the source and path of a location.
    """
    loc, at_file, path = (*project_loc, "users"), (*project_loc, "users_file"), project.get("users_file")
    entries = project.get("users")
    inline = [
        None if (*loc, position) in wrong else read_user(entry)[0]
        for position, entry in enumerate(entries if isinstance(entries, list) else [])
    ]

    def where(position: int) -> str:
        return place((*loc, position))

    problems: list[Located] = [((*loc, position), reason) for position, reason in repeated(inline, where)]
    doubts: list[Located] = [((*loc, position), reason) for position, reason in look_alikes(inline, where)]
    if not isinstance(path, Path):
        return UserList((), None, problems, doubts)
    file_version = version(path)  # before it is read, so that no change goes unnoticed
    users: Sequence[User] = ()
    try:
        users = _users_of_text(inline, read_text(path), path, where, lambda doubt: doubts.append((at_file, doubt)))
    except ConfigError as error:
        problems += [(at_file, mistake) for mistake in error.mistakes]
    except ValueError as error:
        problems.append((at_file, f"the file {path} {error}"))
    return UserList(users, file_version, problems, doubts)


def users_of_file(present: Sequence[User], path: Path, warn: Callable[[Mistake], None] = ignore) -> tuple[User, ...]:
    """Return the users that a users file adds to those that are written in its project.

    `warn` gets names that are valid but look like another one.

    Raises:
        UnusableError: the file cannot be read, or names no user.
        ConfigError: with the number of each line that has a mistake.
    """
    return _users_of_text(present, read_text(path), path, "users[{}]".format, warn)


def _users_of_text(
    present: Entries, text: str, path: Path, where_present: Callable[[int], str], warn: Callable[[Mistake], None]
) -> tuple[User, ...]:
    mistakes: list[Mistake] = []
    lines: list[int] = []
    users: list[User | None] = []
    for number, content in _lines(text):
        is_header = _is_header(content) if not lines else _is_whole_header(content)
        user, wrong = (None, {(): _HEADER}) if is_header else _read_line(content)
        mistakes += [Mistake(f"{path}:{number}", dotted(loc), reason) for loc, reason in wrong.items()]
        lines.append(number)
        users.append(user)
    if not users:
        raise UnusableError("names no user; leave it out if there are none")

    def where(position: int) -> str:
        return where_present(position) if position < len(present) else f"{path}:{lines[position - len(present)]}"

    def of_file(found: Iterable[tuple[int, str]]) -> list[Mistake]:
        return [Mistake(where(position), "", reason) for position, reason in found if position >= len(present)]

    everyone = [*present, *users]
    mistakes += of_file(repeated(everyone, where))
    if mistakes:
        raise ConfigError(sorted(mistakes, key=lambda mistake: int(mistake.source.rpartition(":")[2])))
    first = users[0]
    if first and folded(first.name) in _DOUBTFUL_TITLES:
        warn(Mistake(f"{path}:{lines[0]}", "", "may be the header of a table; remove it if it is none of your users"))
    for doubt in of_file(look_alikes(everyone, where)):
        warn(doubt)
    return tuple(user for user in users if user)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and content of each line with content; `#` starts a comment at the start or after space."""
    for number, line in enumerate(text.split("\n"), start=1):
        content = _COMMENT.sub("", line).strip(" \t\r")
        if content:
            yield number, content


def _read_line(content: str) -> tuple[User | None, Mapping[Loc, str]]:
    """Read a line `name` or `name,id`."""
    name, comma, user_id = content.partition(",")
    return read_user({"name": name, "id": user_id} if comma else {"name": name})


def _titles(line: str) -> list[str]:
    return [re.sub(r"[\W_]", "", field).casefold() for field in _FIELDS.split(line)]


def _is_header(line: str) -> bool:
    """Return whether a line names columns instead of a user."""
    first, *further = _titles(line)
    return first in _NAME_TITLES or not _FURTHER_TITLES.isdisjoint(further)


def _is_whole_header(line: str) -> bool:
    """Return whether a line names columns, wherever it is: of files that were joined, for example."""
    first, *further = _titles(line)
    return first in _NAME_TITLES and not _FURTHER_TITLES.isdisjoint(further)


def repeated(users: Entries, where: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """Yield position and reason of each user who is in the list before, by login name or by id."""
    logins: dict[str, int] = {}  # with the first position of each; there may be 100,000
    ids: dict[str, int] = {}
    for position, user in enumerate(users):
        if user:
            same_login = logins.setdefault(_login(user), position)
            same_id = ids.setdefault(user.id, position) if user.id else position
            if same_login != position:
                yield position, f"is the same user as {where(same_login)}; keep one of them"
            elif same_id != position:
                yield position, f"has the same id as {where(same_id)}; give each its own"


def look_alikes(users: Entries, where: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """Yield position and reason of each user with a name that differs from an earlier one only in case."""
    firsts: dict[str, tuple[int, str]] = {}
    for position, user in enumerate(users):
        if user:
            login = _login(user)
            first, first_login = firsts.setdefault(folded(login), (position, login))
            if login != first_login:
                yield position, f"differs from {where(first)} only in case; both count only if the cloud lists both"


def _login(user: User) -> str:
    """Return what a user has in common with no other: the name, with the domain if it is known."""
    name, domain = user.login
    return f"{name}@{domain.casefold()}" if domain else name
