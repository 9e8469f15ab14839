"""The types of settings, each with its check.

Every check raises ValueError with a reason that fits after the setting's name and never repeats the value.
"""

import ipaddress
import math
import re
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo

_DAY = 86_400_000
_MILLISECONDS = {"y": 365 * _DAY, "w": 7 * _DAY, "d": _DAY, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
# As in Prometheus, each unit at most once and in this order; 15 digits exceed any clock.
_COMPOUND = re.compile("".join(f"(?:([0-9]{{1,15}}){unit})?" for unit in _MILLISECONDS))
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
_EXACT_BELOW = 1e12  # seconds; floats above cannot represent every millisecond

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|(?P<name>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})"
)
_ADDRESS_EXPECTED = "must be [host]:port such as :10099, localhost:10099 or [::1]:10099, with a port up to 65535"
_URL_EXPECTED = "must be an http:// or https:// URL with a host"
_PROXY_EXPECTED = (
    "must be the http:// or https:// URL of a proxy, without a path, such as http://proxy.corp:3128 or "
    "http://user:password@proxy.corp:3128"
)
_SOCKS = "names a SOCKS proxy, which is not supported: use an HTTP proxy such as http://proxy.corp:3128"
_PROXY_PORTS = {"http": 80, "https": 443}  # where the URL has none, as in Go
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_ZONE = re.compile(r"(?:25)?([A-Za-z0-9._-]+)")  # after the % of a link-local IPv6 address, which may be encoded
_NO_TEXT = {"Cc", "Cs"}  # control characters, and halves of surrogate pairs, which cannot be encoded


class Text(str):
    """Text from the environment or a flag, to be converted to the type of its setting.

    Text in YAML is not converted: a number in quotes is a mistake there.
    """

    __slots__ = ()


def parse_duration(value: object) -> float:
    """Return the seconds of a Prometheus duration or a number; raise ValueError if they are negative or not finite."""
    match value:
        case str() if _PLAIN.fullmatch(value):
            seconds = float(value)
        case str() if value and (match := _COMPOUND.fullmatch(value)):
            # Whole milliseconds add up exactly; fractions of seconds would not.
            counts = zip(match.groups(default="0"), _MILLISECONDS.values(), strict=True)
            seconds = sum(int(count) * size for count, size in counts) / 1000
        case int() | float() if not isinstance(value, bool) and value < sys.float_info.max:
            seconds = float(value)
        case _:
            seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError("must be a duration such as 30s, 5m or 1h30m, or a number of seconds")
    return seconds


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` turns into exactly these seconds."""
    if seconds == 0:
        return "0s"
    rest = round(seconds * 1000) if seconds < _EXACT_BELOW else 0
    if rest == 0 or rest / 1000 != seconds:
        return repr(seconds)
    text = ""
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text


@dataclass(frozen=True)
class DurationBetween:
    """A check that a value is a duration within limits, themselves included; 0 is allowed where it turns a thing off.

    The field then holds float seconds.
    """

    shortest: str
    longest: str
    or_zero: bool = False

    def __call__(self, value: object) -> float:
        """Return the seconds."""
        with suppress(ValueError):
            seconds = parse_duration(value)
            within = parse_duration(self.shortest) <= seconds <= parse_duration(self.longest)
            if within or (self.or_zero and seconds == 0):
                return seconds
        zero = "0, or " if self.or_zero else ""
        limits = f"from {self.shortest} to {self.longest}"
        raise ValueError(f"must be {zero}a duration {limits} such as 1m30s, or a number of seconds")


def require(test: Callable[[Any], object], reason: str) -> AfterValidator:
    """Return a check that the test holds for a value."""

    def check(value: object) -> object:
        if not test(value):
            raise ValueError(reason)
        return value

    return AfterValidator(check)


def matching(pattern: str, reason: str) -> AfterValidator:
    """Return a check that the whole text matches."""
    return require(re.compile(pattern).fullmatch, reason)


def is_duration(field: FieldInfo) -> bool:
    """Return whether a model's field is a duration, optional or not."""
    options = (getattr(each, "__metadata__", ()) for each in get_args(field.annotation))
    checks = (check for metadata in (field.metadata, *options) for check in metadata)
    return any(isinstance(check, BeforeValidator) and isinstance(check.func, DurationBetween) for check in checks)


def one_line(text: str) -> str:
    """Return the text without surrounding space; reject empty text and control characters."""
    stripped = text.strip()
    if not stripped:
        raise ValueError("must not be empty")
    if not stripped.isprintable() and any(unicodedata.category(character) in _NO_TEXT for character in stripped):
        raise ValueError("must not contain line breaks, tabs or other control characters")
    return stripped


def _written_as(pattern: str, convert: Callable[[str], object]) -> BeforeValidator:
    """Return a check that converts Text of this pattern, and leaves everything else to pydantic."""

    def check(value: object) -> object:
        if isinstance(value, str) and re.fullmatch(pattern, value):
            if isinstance(value, Text):
                return convert(value)
            raise ValueError("must be written without quotes")
        return value

    return BeforeValidator(check)


def split_address(address: str) -> tuple[str | None, int]:
    """Return host and port of a listen address; the host is None for all interfaces."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:  # noqa: PLR2004 - the highest port
        raise ValueError(_ADDRESS_EXPECTED)
    try:
        if match["v6"]:
            ipaddress.IPv6Address(match["v6"])
        else:
            match["name"].encode("idna")  # as the socket does, which rejects empty and overlong labels
    except ValueError:
        raise ValueError(_ADDRESS_EXPECTED) from None
    return match["v6"] or match["name"] or None, int(match["port"])


def ascii_host(host: str) -> str:
    """Return a host as it is looked up: an IP address without brackets, or a name in ASCII. Raises ValueError."""
    if ":" in host:
        address, percent, zone = host.partition("%")
        ipaddress.IPv6Address(address)
        match = _ZONE.fullmatch(zone)
        if percent and not match:
            raise ValueError(host)
        return f"{address}%{match[1]}" if match else address
    name = host.encode("idna")  # as the socket does, which rejects empty and overlong labels
    name.decode("idna")  # rejects labels that only look encoded
    if not _HOST_NAME.fullmatch(name.decode("ascii")):
        raise ValueError(host)
    return name.decode("ascii")


def _check_addresses(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Raise ValueError for an address that is invalid, or covered by another one."""
    seen: set[tuple[str | None, int]] = set()
    for number, address in enumerate(addresses, start=1):
        entry = f"entry {number} " if len(addresses) > 1 else ""
        try:
            host, port = split_address(address)
        except ValueError as error:
            raise ValueError(f"{entry}{error}") from None
        host = host and (str(ipaddress.IPv6Address(host)) if ":" in host else host.lower())
        if port and any(port == other and (host == covered or None in {host, covered}) for covered, other in seen):
            raise ValueError(f"{entry}repeats an address; keep one of them (without a host, it is all interfaces)")
        seen.add((host, port))
    return addresses


def _split_url(url: str) -> tuple[SplitResult, str]:
    """Return the parts of a URL, and its host and port as they are sent: in ASCII."""
    try:
        parts = urlsplit(one_line(url))
        host = ascii_host(parts.hostname or "")
        port = parts.port  # parsed on access
    except ValueError:
        raise ValueError(_URL_EXPECTED) from None
    if parts.scheme not in {"http", "https"} or port == 0 or re.search(r"\s", url.strip()):
        raise ValueError(_URL_EXPECTED)
    return parts, (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")


def _endpoint(url: str) -> str:
    parts, authority = _split_url(url)
    if parts.username is not None or "?" in url or "#" in url:
        raise ValueError(f"{_URL_EXPECTED}, without user, query and fragment")
    return f"{parts.scheme}://{authority}{parts.path}".rstrip("/")  # so that paths can be appended


def split_proxy(url: str) -> tuple[str, str]:
    """Return a proxy's URL without user and password, and these as written; empty if there are none.

    Everything up to the last @ is user and password, whatever characters it has, so that no error can show them.
    """
    scheme, _, rest = one_line(url).partition("://")
    user, _, address = rest.rpartition("@")
    if scheme.lower().startswith("socks"):
        raise ValueError(_SOCKS)
    try:
        parts, authority = _split_url(f"{scheme}://{address}")
    except ValueError:
        raise ValueError(_PROXY_EXPECTED) from None
    if parts.path not in {"", "/"} or "?" in address or "#" in address:
        raise ValueError(_PROXY_EXPECTED)
    port = "" if parts.port else f":{_PROXY_PORTS[parts.scheme]}"
    return f"{parts.scheme}://{authority}{port}", user


def _proxy(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    split_proxy(text)
    return SecretStr(text.strip())


def _log_level(value: object) -> object:
    level = value.lower() if isinstance(value, str) else value
    return "warning" if level == "warn" else level


Whole = Annotated[int, _written_as(r"-?[0-9]{1,18}", int)]
Number = Annotated[float, Field(allow_inf_nan=False), _written_as(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", float)]
Switch = Annotated[bool, _written_as(r"true|false", lambda text: text == "true")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_log_level)]
Line = Annotated[str, AfterValidator(one_line)]
ProjectId = Annotated[str, matching(r"[A-Za-z0-9_-]+", "must be letters, digits, hyphens and underscores")]
Region = Annotated[str, matching(r"[a-z0-9-]+", "must be lowercase letters, digits and hyphens such as eu-west-101")]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Proxy = Annotated[SecretStr, AfterValidator(_proxy)]
Secret = Annotated[SecretStr, AfterValidator(lambda secret: SecretStr(one_line(secret.get_secret_value())))]
ListenAddresses = Annotated[
    tuple[str, ...],
    Field(strict=False),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    require(len, "needs at least one address"),
    AfterValidator(_check_addresses),
]
# The page is at `/`, and the exporter's own paths begin with `/-/`; other characters would be a pattern to the router.
_PATH_EXPECTED = "must begin with /, followed by letters, digits and ._~/- only; / and /-/… are reserved"
TelemetryPath = Annotated[str, matching(r"/(?!-/)[A-Za-z0-9._~/-]+", _PATH_EXPECTED)]
File = Annotated[Path, Field(strict=False)]  # strict would reject text
"""A file's path. Settings of this type are named `…_file`; that name marks relative paths."""
