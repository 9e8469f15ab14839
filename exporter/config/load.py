"""From flags, environment and file to settings, with every mistake reported at once."""

import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from exporter.config.catalog import CONFIG_FILE, variable
from exporter.config.checks import broken_rules, validate
from exporter.config.errors import ConfigError, Loc, Mistake, UnusableError
from exporter.config.files import check_certificates, named_files, read_text
from exporter.config.layers import Layer, Merged, environment_layer, file_layer, flag_layer, merge
from exporter.config.settings import Settings, User
from exporter.config.values import one_line
from exporter.config.web_file import read_web_file

_COMMENT = re.compile(r"(?:^|\s)#.*")


def load(flags: Mapping[str, str], environ: Mapping[str, str], *, default_project_id: str | None = None) -> Settings:
    """Return the settings from flags (by path), environment, the file that one of them names, and defaults.

    `users` includes those of users files. Files of secrets are only checked. All paths are absolute.
    Raise ConfigError with every mistake.
    """
    file = flags.get(CONFIG_FILE) or environ.get(variable(CONFIG_FILE))
    lowest = file_layer(Path(file)) if file else Layer("configuration", {})
    return build(flag_layer(flags), environment_layer(environ), lowest, default_project_id=default_project_id)


def build(*layers: Layer, default_project_id: str | None = None) -> Settings:
    """Return the settings of layers, highest priority first; raise ConfigError with every mistake, theirs included."""
    merged = merge(*layers)
    if default_project_id is not None:
        _fill_project_ids(merged, default_project_id)
    unread = [mistake for layer in layers for mistake in layer.mistakes]
    in_files = list(_read_files(merged))
    settings, wrong = validate(Settings, merged.values)
    if unread and "projects" not in merged.values:
        wrong.pop(("projects",), None)  # the projects may be in what could not be read
    # A value with a mistake of its own is neither compared with others nor is its file reported.
    containing = {loc[:length] for loc in wrong for length in range(len(loc) + 1)}
    further = [(loc, mistake) for loc, mistake in (*broken_rules(merged, containing), *in_files) if loc not in wrong]
    problems = sorted([*wrong.items(), *further], key=lambda problem: merged.position(problem[0]))
    mistakes = unread + [
        problem if isinstance(problem, Mistake) else Mistake(*merged.place(loc), problem) for loc, problem in problems
    ]
    if settings is None or mistakes:
        raise ConfigError(mistakes)
    return settings


def parse_users(text: str) -> Iterator[tuple[int, User]]:
    """Yield number and user of every line `name` or `name,id`; `#` starts a comment at the start or after space."""
    for number, line in enumerate(text.split("\n"), start=1):
        content = _COMMENT.sub("", line).strip()
        if content:
            name, comma, user_id = content.partition(",")
            yield number, User(name, user_id if comma else None)


def _read_files(merged: Merged) -> Iterator[tuple[Loc, str | Mistake]]:
    """Add the users of users files to their projects, check all other files, and yield what is wrong with them."""
    for loc, path in list(named_files(merged.values)):  # a list, because users are added meanwhile
        try:
            match loc:
                case (*_, "ca_file"):
                    check_certificates(path)
                case ("projects", int(index), "users_file"):
                    _add_users(merged, index, path)
                case ("web", "config_file"):
                    read_text(path)  # an unreadable file is a mistake of whoever names it
                    read_web_file(path)
                case _:
                    one_line(read_text(path))
        except ConfigError as error:
            yield from ((loc, mistake) for mistake in error.mistakes)
        except ValueError as error:
            yield loc, f"the file {path} {error}"


def _add_users(merged: Merged, index: int, path: Path) -> None:
    users = merged.values["projects"][index].setdefault("users", [])
    present = users if isinstance(users, list) else []  # anything else is a mistake of its own
    first, numbers = len(present), array("L")
    for number, user in parse_users(read_text(path)):
        numbers.append(number)
        present.append(user)
    if not numbers:
        raise UnusableError("names no user; leave it out if there are none")
    merged.listed["projects", index, "users"] = path, first, numbers


def _fill_project_ids(merged: Merged, project_id: str) -> None:
    projects = merged.values.get("projects")
    source = Layer("the environment's project id", {})
    for index, project in enumerate(projects if isinstance(projects, list) else []):
        if isinstance(project, dict) and "project_id" not in project:
            project["project_id"] = project_id
            merged.origins["projects", index, "project_id"] = source
