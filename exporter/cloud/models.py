"""The fields that the exporter uses of the cloud's answers, and their decoding.

Any field may be absent, null or of another type. Fields that are not named here are skipped unread, above all
personal data. Decoding stays below 50 ms for any body within its limit, because nothing is built from what is skipped.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec
import structlog

from exporter.cloud.bodies import Body, ErrorBody, check_empty, decoder, present

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MAX_CHARACTERS = 128  # kept of each text of a session. Real ones have a quarter of that.
MAX_SESSIONS = 1_000
"""In one answer. A user has a few, and a page of ListSessions at most 100. An answer with more is invalid."""

MAX_USERS = 2_000  # in one answer. The exporter requests at most 1,000. An answer with more is invalid.
_MAX_OBJECTS = 20_000  # in one answer; one with more is not even decoded
_MAX_NAME = 256  # characters; a longer name is dropped, because a part of it would be another name

_NULL = msgspec.Raw(b"null")
_TOTAL = re.compile(rb'(-?\d{1,99})(?:\.0+)?|"(\d{1,99})"').fullmatch

Text = str | None
Name = Annotated[str, msgspec.Meta(max_length=_MAX_NAME)] | None


class _SessionTexts(msgspec.Struct, frozen=True, gc=False):
    """The texts of a session (AppSession in the reference of ListSessionByUserName)."""

    id: Text = None
    session_state: Text = None
    client_version: Text = None
    agent_version: Text = None
    failed_code: Text = None
    app_server_group_id: Text = None


_TEXTS = len(_SessionTexts.__struct_fields__)


class Session(_SessionTexts, frozen=True, gc=False):
    """A session as the exporter keeps it."""

    started: float | None = None
    """Seconds since 1970, rounded down to the minute. The time carries no zone and is read as UTC.

    None if it cannot be read.
    """


class AppSession(_SessionTexts, frozen=True, gc=False):
    """A session of ListSessionByUserName or ListSessions."""

    start_time: Annotated[str, msgspec.Meta(max_length=64)] | None = None  # no Text: a number would be ambiguous
    login_user: Name = None  # `name@domain`; personal, and not kept

    @property
    def started(self) -> float | None:
        """The start as in Session."""
        return _minute(self.start_time or "")


class UserDetail(msgspec.Struct, frozen=True, gc=False):
    """The flags of an account (UserDetail in the reference of ListUserDetail). None means unknown."""

    locked: bool | None = None
    user_expired: bool | None = None
    disabled: bool | None = None
    account_expires: int | None = None
    """End of the account's validity in milliseconds since 1970, UTC; 0 if it never ends."""


class User(msgspec.Struct, frozen=True, gc=False):
    """An entry of ListUsers. Some flags have another name or type than in ListUserDetail."""

    id: Name = None
    user_name: Name = None
    locked: bool | None = None
    account_expired: bool | None = None
    disabled: bool | None = None
    account_expires: str | int | None = None
    domain: Name = None

    @property
    def detail(self) -> UserDetail:
        """The account's flags. An end of the account that cannot be read is None."""
        try:
            expires = None if self.account_expires is None else int(self.account_expires)
        except ValueError:
            expires = None
        return _shared_detail(self.locked, self.account_expired, self.disabled, expires)


_shared_detail = lru_cache(maxsize=1024)(UserDetail)  # most accounts have the same flags
_shared_time = lru_cache(maxsize=4096)(float)  # sessions of the last days share their minutes


@lru_cache(maxsize=4096)  # the same sessions come with every poll
def _minute(time: str) -> float | None:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return _shared_time(moment.replace(tzinfo=moment.tzinfo or UTC, second=0, microsecond=0).timestamp())


ListedSession = tuple[str | None, Session]  # a session with the `login_user` that the cloud lists for it


class SessionList(NamedTuple):
    """An answer of ListSessionByUserName."""

    sessions: tuple[ListedSession, ...]
    cut: int  # number of texts that were longer than MAX_CHARACTERS


class SessionPage(NamedTuple):
    """An answer of ListSessions."""

    sessions: tuple[ListedSession, ...]
    total: int | None  # number of sessions on all pages; None if unknown
    cut: int  # number of texts that were longer than MAX_CHARACTERS


class UserPage(NamedTuple):
    """An answer of ListUsers."""

    users: list[User]
    total_count: int | None = None  # number of users on all pages; None if unknown


E = TypeVar("E", bound=msgspec.Struct)
B = TypeVar("B", bound=Body)


class _SessionList(Body, Generic[E], frozen=True):
    session_info_list: list[E] | None = None


class _SessionPage(Body, Generic[E], frozen=True):
    items: list[E] | None = None
    count: msgspec.Raw = _NULL


class _UserPage(Body, Generic[E], frozen=True):
    users: list[E] | None = None
    total_count: msgspec.Raw = _NULL


class _UserDetailAnswer(Body, Generic[E], frozen=True):
    user_detail: E | None = None


def session_list(body: bytes) -> SessionList:
    """Decode an answer of ListSessionByUserName. A list may be null or absent, if there is nothing else."""
    found = _session_list(body).session_info_list
    if found is None:
        check_empty(body, "session_info_list")
    return _kept(_typed(AppSession, found or [], MAX_SESSIONS))


def session_page(body: bytes) -> SessionPage:
    """Decode a page of ListSessions."""
    page = _session_page(body)
    sessions, cut = _kept(_typed(AppSession, present(page.items, body), MAX_SESSIONS))
    return SessionPage(sessions, _total(page.count), cut)


def user_detail(body: bytes) -> UserDetail:
    """Decode an answer of ListUserDetail."""
    (detail,) = _typed(UserDetail, [present(_user_detail(body).user_detail, body)], 1)
    return _shared_detail(detail.locked, detail.user_expired, detail.disabled, detail.account_expires)


def user_page(body: bytes) -> UserPage:
    """Decode a page of ListUsers."""
    page = _user_page(body)
    return UserPage(_typed(User, present(page.users, body), MAX_USERS), _total(page.total_count))


def _kept(sessions: Sequence[AppSession]) -> SessionList:
    """Return the sessions with bounded texts. Equal texts share their memory."""
    kept, cut = [], 0
    for session in sessions:
        texts = msgspec.structs.astuple(session)[:_TEXTS]
        if too_long := [text for text in texts if text and len(text) > MAX_CHARACTERS]:
            cut += len(too_long)
            texts = tuple(text and text[:MAX_CHARACTERS] for text in texts)
        session_id, *others = texts
        state, client, agent, code, group = [text and intern(text) for text in others]
        kept.append((session.login_user, Session(session_id, state, client, agent, code, group, session.started)))
    return SessionList(tuple(kept), cut)


def _lenient(envelope: type[B], kind: type[msgspec.Struct]) -> Callable[[bytes], B]:
    """Return a decoder of answers with entries of this kind, or with raw ones if a field has another type."""
    raw_fields = [(name, msgspec.Raw, _NULL) for name in kind.__struct_fields__]
    raw_kind = msgspec.defstruct(f"Raw{kind.__name__}", raw_fields, gc=False)
    typed: Callable[[bytes], B] = decoder(envelope[kind])  # type: ignore[index] # it is generic in its entries
    raw: Callable[[bytes], B] = decoder(envelope[raw_kind])  # type: ignore[index] # the same

    def decode(body: bytes) -> B:
        if body.count(b"{") > _MAX_OBJECTS:  # few texts have braces
            raise ErrorBody(None)
        try:
            return typed(body)
        except msgspec.ValidationError:
            return raw(body)

    return decode


def _typed(kind: type[E], entries: list[msgspec.Struct], most: int) -> list[E]:
    """Return entries as this kind. Raises ErrorBody for too many.

    A raw number is read as a text where a text is expected. Other fields of another type are dropped.
    """
    if len(entries) > most:
        raise ErrorBody(None)
    return [entry if isinstance(entry, kind) else kind(*_fields(kind, entry)) for entry in entries]


def _fields(kind: type[msgspec.Struct], entry: msgspec.Struct) -> Iterator[object]:
    for (name, decode, is_text), raw in zip(_readers(kind), msgspec.structs.astuple(entry), strict=True):
        value = None
        try:
            value = decode(raw)
        except msgspec.ValidationError:
            if is_text and len(memoryview(raw)) <= _MAX_NAME and memoryview(raw)[0] in b"-0123456789":
                value = bytes(raw).decode()
                _report("field_read_as_text", kind.__name__, name)
            else:
                _report("field_dropped", kind.__name__, name)
        yield value


@lru_cache
def _readers(kind: type[msgspec.Struct]) -> list[tuple[str, Callable[[msgspec.Raw], object], bool]]:
    """Return each field's name and decoder, and whether it is a text that may be written as a number."""
    fields = msgspec.structs.fields(kind)
    return [(field.name, msgspec.json.Decoder(field.type).decode, field.type in (Text, Name)) for field in fields]


def _total(raw: msgspec.Raw) -> int | None:
    """Return the number of all entries, None if the cloud does not say. Without it, no listing is known to be whole."""
    text = bytes(raw)
    if match := _TOTAL(text):
        return int(match[1] or match[2])
    if text != b"null":
        _report("field_unreadable", "page", "number of all entries")
        raise ErrorBody(None)
    return None


@lru_cache(maxsize=64)  # once for each field
def _report(event: str, entry: str, field: str) -> None:
    _logger.warning(event, entry=entry, field=field, reason="the cloud sends a value of another type than documented")


_session_list = _lenient(_SessionList, AppSession)
_session_page = _lenient(_SessionPage, AppSession)
_user_page = _lenient(_UserPage, User)
_user_detail = _lenient(_UserDetailAnswer, UserDetail)
