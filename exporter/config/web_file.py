"""The web configuration file: TLS, basic auth and response headers, in the format that Prometheus's exporters share.

It says who may read the metrics, so nothing in it is passed over: what would leave a door open that somebody meant to
close is a mistake, also where other exporters take it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError

from exporter.config import document, server_tls
from exporter.config.explain import explain
from exporter.config.files import named_files, read_text, with_absolute_files
from exporter.config.mistakes import Loc, Mistake, Told, dotted
from exporter.config.server_tls import TlsServer
from exporter.config.settings import Section
from exporter.config.values import matching, one_line

_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-8])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")


@dataclass(frozen=True)
class WebFile:
    """What a valid file says, ready to be used."""

    tls: SSLContext | None = None
    """None: plain HTTP."""
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    """The bcrypt hash of each user's password; with nobody in it, everybody may come in."""
    files: tuple[Path, ...] = ()
    """What it was made from besides itself."""


class RefusedError(ValueError):
    """The file is refused; ``told`` has every mistake in it, ``files`` what has to change besides or instead of it."""

    def __init__(self, told: list[Told], files: tuple[Path, ...] = ()) -> None:
        super().__init__("has mistakes")
        self.told = told
        self.files = files


def _given(value: object) -> object:
    if value is None:
        raise ValueError("must not be empty: give a value or leave it out")
    return value


def _bare_number(value: object) -> object:
    """Take the two numbers that a header can be."""
    return str(value) if type(value) is int and value in {0, 1} else value


def _line_or_blank(text: str) -> str:
    return one_line(text) if text.strip() else ""


def _logins(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of user names to bcrypt hashes")  # noqa: TRY004 - what pydantic expects
    return [{"name": name, "hash": hashed} for name, hashed in value.items()]


def _bcrypt(secret: SecretStr) -> SecretStr:
    if _HASH.fullmatch(secret.get_secret_value()) is None:
        raise ValueError(
            "must be a bcrypt hash ($2a$, $2b$ or $2y$) of a cost from 4 to 18, beyond which checks take minutes"
        )
    return secret


HeaderText = Annotated[str, BeforeValidator(_bare_number), AfterValidator(_line_or_blank)]


class Headers(Section):
    """The headers that may be added to every answer."""

    content_security_policy: HeaderText = Field("", alias="Content-Security-Policy")
    strict_transport_security: HeaderText = Field("", alias="Strict-Transport-Security")
    x_content_type_options: Annotated[Literal["nosniff"] | None, BeforeValidator(_given)] = Field(
        None, alias="X-Content-Type-Options"
    )
    x_frame_options: Annotated[Literal["deny", "sameorigin"] | None, BeforeValidator(_given)] = Field(
        None, alias="X-Frame-Options"
    )
    x_xss_protection: HeaderText = Field("", alias="X-XSS-Protection")


class HttpServer(Section):
    """How answers are given."""

    http2: bool = True
    """Has no effect: HTTP/1.1 is spoken."""
    headers: Headers = Headers()


class Login(Section):
    """A user, and the hash of the password."""

    name: Annotated[str, matching(r"[^:]*", "must not contain a colon, which ends the name in basic auth")]
    hash: Annotated[SecretStr, AfterValidator(_bcrypt)]


class _Contents(Section):
    tls_server_config: Annotated[TlsServer | None, BeforeValidator(_given)] = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[tuple[Login, ...], Field(strict=False), BeforeValidator(_logins)] = ()


def read(path: Path) -> WebFile:
    """Read the file and those that it names; relative paths start at its directory.

    Raises:
        RefusedError: with every mistake in it.
        UnreadableError: when there is no text to speak of.
    """
    text = read_text(path)
    try:
        values = document.parse(text)
    except document.NotPlainYamlError as error:
        raise RefusedError([((), str(error))]) from None
    if not isinstance(values, dict):
        raise RefusedError([((), "must be a mapping, if only an empty one: {}")])
    values = with_absolute_files(values, path.absolute().parent)
    files = tuple(file for _, file, _ in named_files(values))
    contents, wrong = _validated(values)
    section = values.get("tls_server_config")
    rules = server_tls.broken(section) if isinstance(section, dict) else ()
    further = [(("tls_server_config", *loc), reason) for loc, reason in rules]
    told = [*wrong.items(), *((loc, reason) for loc, reason in further if loc not in wrong)]
    if contents is None or told:
        raise RefusedError(told, files)
    return _ready(contents, files)


def mistakes(path: Path, error: ValueError) -> list[Mistake]:
    """What is wrong with a file that could not be read, for who has no other mistakes to tell."""
    told = error.told if isinstance(error, RefusedError) else [((), str(error))]
    return [Mistake(str(path), dotted(loc), reason) for loc, reason in told]


def _validated(values: Mapping[str, object]) -> tuple[_Contents | None, dict[Loc, str]]:
    try:
        return _Contents.model_validate(values), {}
    except ValidationError as error:
        return None, dict(_nameless(explain(error, _Contents)))


def _nameless(told: Iterator[Told]) -> Iterator[Told]:
    """Place what is wrong with a user by number."""
    for loc, reason in told:
        yield (loc[:2] if loc[0] == "basic_auth_users" else loc), reason


def _ready(contents: _Contents, files: tuple[Path, ...]) -> WebFile:
    tls = contents.tls_server_config
    headers = contents.http_server_config.headers.model_dump(by_alias=True)
    try:
        context = server_tls.context(tls) if tls else None
    except OSError as error:
        reason = f"cannot be done by this system's OpenSSL ({getattr(error, 'reason', None) or error.strerror})"
        raise RefusedError([(("tls_server_config",), reason)], files) from None
    return WebFile(
        tls=context,
        headers={name: text for name, text in headers.items() if text},
        users={each.name.encode(): each.hash.get_secret_value().encode() for each in contents.basic_auth_users},
        files=files,
    )
