"""The configuration in effect as YAML for operators, without secrets.

It is written without a YAML library, which takes a second for 10,000 users and stalls all threads meanwhile.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from exporter.config.settings import Project, Settings, User
from exporter.config.values import Proxy, format_duration, is_duration, split_proxy

SECRET = "<secret>"  # noqa: S105 - what is shown instead of a secret, as in Prometheus
_PLAIN = re.compile(
    r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[a-z/](?:[a-z0-9_./@-]|:(?=/))*", re.IGNORECASE | re.ASCII
)
"""Text without quotes. Other words of YAML 1.1 and 1.2, and all that begin like numbers, are not among it."""


def shown(settings: Settings) -> str:
    """Return all settings as a configuration file, with absolute paths and `<secret>` for each secret.

    Names of users are shown only where the metrics may show them. Otherwise a comment counts them. Users of a
    `users_file` are not shown.
    """
    names = settings.metrics.user_label == "name" and settings.metrics.per_user != "none"
    values, comments = _section(settings), ""
    values["projects"] = [_project(project) for project in settings.projects]
    for number, project in enumerate([] if names else values["projects"]):
        for key in ("users", "exclude"):
            if count := len(project[key]):
                comments += (
                    f"# projects[{number}].{key} is not shown, as the metrics show no names. Entries: {count}.\n"
                )
                project[key] = []
    return comments + "".join(f"{line}\n" for line in _lines(values))


def _section(section: BaseModel) -> dict[str, Any]:
    fields = type(section).model_fields.items()
    return {name: _yaml(value, field) for name, field in fields if (value := getattr(section, name)) is not None}


def _project(project: Project) -> dict[str, Any]:
    """Return a project without the users of its `users_file`, and with only what it overrides of `poll`."""
    poll, overridden = project.poll, project.poll.model_fields_set
    fields = {name: field for name, field in type(poll).model_fields.items() if name in overridden}
    overrides = {name: _yaml(getattr(poll, name), field) for name, field in fields.items()}
    return _section(project.with_file((), None)) | {"poll": overrides}


def _yaml(value: object, field: FieldInfo) -> object:  # noqa: PLR0911 - one for each kind of value
    """Return a value as it is written: the text of a scalar, or a dictionary or list of them."""
    match value:
        case SecretStr():
            return _without_login(value) if Proxy in get_args(field.annotation) else SECRET
        case str() | Path():
            return _scalar(str(value))
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case float():
            return format_duration(value) if is_duration(field) else repr(value).removesuffix(".0")
        case User():
            parts = {"name": value.name, "id": value.id, "domain": value.domain}
            written = {key: _scalar(part) for key, part in parts.items() if part}
            return written if len(written) > 1 else written["name"]
        case BaseModel():
            return _section(value)
        case Mapping():
            return {key: _yaml(each, field) for key, each in value.items()}
        case tuple():
            return [_yaml(each, field) for each in value]
    return str(value)


def _without_login(proxy: SecretStr) -> str:
    url, login = split_proxy(proxy.get_secret_value())
    return url.replace("://", f"://{SECRET}@") if login else url


def _scalar(text: str) -> str:
    """Return text as YAML, in quotes if it could be taken for something else."""
    if _PLAIN.fullmatch(text):
        return text
    plain = (char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in text)
    return f'"{"".join(plain)}"'


def _lines(value: Mapping[str, Any] | list[Any]) -> Iterator[str]:
    """Yield the lines of a mapping or list in block style."""
    if isinstance(value, list):
        for item in value:
            first, *others = [item] if isinstance(item, str) else _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
        return
    for key, item in value.items():
        if isinstance(item, str) or not item:
            yield f"{key}: {item}"
        else:
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(item))
