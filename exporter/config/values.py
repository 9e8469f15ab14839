"""The kinds of value that settings have, each with its check.

Every check raises ValueError with a reason that fits after the setting's name, and never repeats the value.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr


class Text(str):
    """Text from where everything is text, the environment and flags: converted to what a setting needs.

    Other text is not: a number in quotes is a mistake in YAML.
    """

    __slots__ = ()


Items = TypeVar("Items", bound=tuple[object, ...])

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_ADDRESS_EXPECTED = "must be [host]:port such as :10099, localhost:10099 or [::1]:10099, with a port up to 65535"
_NO_TEXT = {"Cc", "Cs"}  # control characters, and halves of a surrogate pair, which no encoding takes
_HIGHEST_PORT = 65535
_URL_EXPECTED = "must be an http:// or https:// URL with a host"


def one_line(text: str) -> str:
    """Return the text without the space around it; refuse what is then empty or has control characters."""
    stripped = text.strip()
    if not stripped:
        raise ValueError("must not be empty")
    if any(unicodedata.category(character) in _NO_TEXT for character in stripped):
        raise ValueError("must not contain line breaks, tabs or other control characters")
    return stripped


def not_empty(items: Items) -> Items:
    """Return the items, of which there must be one."""
    if not items:
        raise ValueError("needs at least one entry")
    return items


def split_address(address: str) -> tuple[str | None, int]:
    """Return host (None: all interfaces) and port of a listen address."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise ValueError(_ADDRESS_EXPECTED)
    try:
        if match["v6"]:
            ipaddress.IPv6Address(match["v6"])
        else:
            match["name"].encode("idna")  # as the socket does: it refuses empty and overlong labels
    except ValueError:
        raise ValueError(_ADDRESS_EXPECTED) from None
    return match["v6"] or match["name"] or None, int(match["port"])


def matching(pattern: str, reason: str) -> AfterValidator:
    """Return a check that the whole text matches."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(reason)
        return text

    return AfterValidator(check)


def _written_as(pattern: str, convert: Callable[[str], object]) -> BeforeValidator:
    """Return a check that converts Text of the pattern, and leaves to pydantic what is not of it."""
    compiled = re.compile(pattern)

    def check(value: object) -> object:
        if isinstance(value, str) and compiled.fullmatch(value):
            if isinstance(value, Text):
                return convert(value)
            raise ValueError("must be written without quotes")
        return value

    return BeforeValidator(check)


def _split_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(one_line(url))
        port = parts.port  # parsed only when asked for
        (parts.hostname or "").encode("idna")  # as the socket does: it refuses empty and overlong labels
    except ValueError:
        raise ValueError(_URL_EXPECTED) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or re.search(r"\s", url.strip()):
        raise ValueError(_URL_EXPECTED)
    return parts


def _endpoint(url: str) -> str:
    parts = _split_url(url)
    if parts.username is not None or "?" in url or "#" in url:
        raise ValueError(f"{_URL_EXPECTED}, without user, query and fragment")
    return parts.geturl().rstrip("/")  # so that paths can be appended


def _proxy(url: SecretStr) -> SecretStr:
    return SecretStr(_split_url(url.get_secret_value()).geturl())


def _listen_address(address: str) -> str:
    split_address(address)
    return address


def _secret(secret: SecretStr) -> SecretStr:
    return SecretStr(one_line(secret.get_secret_value()))


Whole = Annotated[int, _written_as(r"-?[0-9]{1,18}", int)]
Number = Annotated[float, _written_as(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", float)]
Switch = Annotated[bool, _written_as(r"true|false", lambda text: text == "true")]
Line = Annotated[str, AfterValidator(one_line)]
UserName = Annotated[
    Line,
    matching(r"[^,]+", "must not contain a comma: users_file separates name and id with it"),
    matching(r".{1,128}", "must not be longer than 128 characters"),
]
ProjectId = Annotated[str, matching(r"[A-Za-z0-9_-]+", "must be letters, digits, hyphens and underscores")]
Region = Annotated[str, matching(r"[a-z0-9-]+", "must be lowercase letters, digits and hyphens such as eu-west-101")]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Proxy = Annotated[SecretStr, AfterValidator(_proxy)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
ListenAddress = Annotated[str, AfterValidator(_listen_address)]
# The page owns `/` and the exporter's own paths begin with `/-/`; other characters would be a pattern to the router.
TelemetryPath = Annotated[
    str,
    matching(
        r"/(?!-/)[A-Za-z0-9._~/-]+",
        "must begin with / and go on with letters, digits and ._~/- only; / and /-/… are taken",
    ),
]
File = Annotated[Path, Field(strict=False)]  # strict would refuse text
"""A file's path. Settings of this type are named `…_file`: relative ones are found and resolved by that name."""
