"""The official SDK's credential chain: environment, then credentials file, then (elsewhere) the ECS's metadata."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cloud.auth import AccessKey
from exporter.secrets import ChangingFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Link:
    """What one link of the chain offers: a way to read the keys, and a project id where it names one."""

    source: str
    read: Callable[[], AccessKey] = field(repr=False, compare=False)
    project_id: str | None


def first_link(environ: Mapping[str, str]) -> Link | None:
    """The first link that has keys; None where only the metadata service is left.

    Raises:
        ValueError: the credentials file has no ``ak`` and ``sk`` in its section ``[basic]``, or is no ini file.
        OSError: the credentials file cannot be read.
    """
    if environ.get("HUAWEICLOUD_SDK_AK") and environ.get("HUAWEICLOUD_SDK_SK"):
        key = _environment_key(environ)
        return Link("environment", lambda: key, environ.get("HUAWEICLOUD_SDK_PROJECT_ID"))
    path = _credentials_file(environ)
    if not path.exists():
        return None
    file = ChangingFile(path)

    def read() -> AccessKey:
        return _profile_key(_profile(file, path), path)

    read()  # says at once what is wrong
    return Link(str(path), read, _profile(file, path).get("project_id"))


def _environment_key(environ: Mapping[str, str]) -> AccessKey:
    return AccessKey(
        environ["HUAWEICLOUD_SDK_AK"],
        environ["HUAWEICLOUD_SDK_SK"],
        environ.get("HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    )


def _credentials_file(environ: Mapping[str, str]) -> Path:
    named = environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    return Path(named) if named else Path(environ.get("HOME", "~")).expanduser() / ".huaweicloud" / "credentials"


def _profile(file: ChangingFile, path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read())
    except configparser.Error as error:
        # configparser's own message quotes the line, which may be a secret
        raise ValueError(f"{path} is not an ini file: {type(error).__name__}") from None
    if not parser.has_section("basic"):
        raise ValueError(f"{path} has no section [basic]")
    return parser["basic"]


def _profile_key(profile: Mapping[str, str], path: Path) -> AccessKey:
    if not (profile.get("ak") and profile.get("sk")):
        raise ValueError(f"{path} lacks ak or sk in its section [basic]")
    return AccessKey(profile["ak"], profile["sk"], profile.get("security_token"))
