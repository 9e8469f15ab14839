"""What stands in the files that the configuration names: users, which join the list, and secrets, which must be there.

Secrets stay in their files, where they may change while the exporter runs.
"""

from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.files import check_authorities, named_files, read_text
from exporter.config.layers import Merged
from exporter.config.mistakes import ConfigError, Loc
from exporter.config.settings import Project, Settings
from exporter.config.users import Listed, UsersFile, doubled, parse_users
from exporter.config.values import one_line


@dataclass
class Contents:
    """The users that were read, and which settings name a file that is of no use."""

    users: dict[Path, UsersFile] = field(default_factory=dict)
    refused: list[tuple[Loc, str]] = field(default_factory=list)


def read(values: object) -> Contents:
    """Read every file that nested values name, whether or not the values are right otherwise."""
    contents = Contents()
    for loc, path in named_files(values):
        try:
            match loc[-1]:
                case "ca_file":
                    check_authorities(path)
                case "users_file":
                    contents.users[path] = parse_users(read_text(path), path)
                case _:
                    one_line(read_text(path))
        except ValueError as error:
            contents.refused.append((loc, f"the file {path} {error}"))
    return contents


def fill(settings: Settings, contents: Contents, merged: Merged) -> Settings:
    """Return the settings with the users of the users files at the end of the projects' lists.

    Raises:
        ConfigError: when a project names a user twice, here or in its file.
    """
    listed = [_listed(project, index, contents, merged) for index, project in enumerate(settings.projects)]
    mistakes = [mistake for users in listed for mistake in doubled(users)]
    if mistakes:
        raise ConfigError(mistakes)
    projects = tuple(
        project.model_copy(update={"users": tuple(each.user for each in users)})
        for project, users in zip(settings.projects, listed, strict=True)
    )
    return settings.model_copy(update={"projects": projects})


def _listed(project: Project, index: int, contents: Contents, merged: Merged) -> list[Listed]:
    here = [
        Listed(user, merged.place(("projects", index, "users", position)))
        for position, user in enumerate(project.users)
    ]
    return here if project.users_file is None else [*here, *contents.users[project.users_file].listed]
