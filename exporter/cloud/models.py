"""The fields that the exporter uses of the cloud's answers.

Any field may be absent, null or of another type. Fields that are not named here are skipped unread, above all
personal data.
"""

from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Annotated, NamedTuple

import msgspec

from exporter.cloud.decoding import Name, Text

MAX_CHARACTERS = 128  # kept of each text of a session. Real ones have a quarter of that.
_MAX_COUNT = 1_000_000_000  # of sessions on a server. A larger number is unknown.

Digits = int | Annotated[str, msgspec.Meta(max_length=20)] | None  # reading longer texts as numbers takes too long
Time = Annotated[str, msgspec.Meta(max_length=64)] | None  # no Text: a number would be ambiguous


class SessionKind(msgspec.Struct, frozen=True, gc=False):
    """The texts by which sessions are counted (AppSession in the reference). Sessions with equal texts share them."""

    session_state: Text = None
    client_version: Text = None
    agent_version: Text = None
    failed_code: Text = None
    app_server_group_id: Text = None
    session_type: Text = None
    client_type: Text = None


_KIND_TEXTS = len(SessionKind.__struct_fields__)


class Session(msgspec.Struct, frozen=True, gc=False):
    """A session as the exporter keeps it."""

    id: Text
    kind: SessionKind
    started: float | None = None
    """Start in seconds since 1970, rounded down to the minute; read as UTC where the cloud names no zone.

    None if it cannot be read.
    """
    changed: float | None = None  # when the state last changed, in seconds since 1970, UTC; None if unknown

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - the fields of a session
        cls,
        id: Text = None,  # noqa: A002 - the cloud's name of the field
        session_state: Text = None,
        client_version: Text = None,
        agent_version: Text = None,
        failed_code: Text = None,
        app_server_group_id: Text = None,
        started: float | None = None,
        session_type: Text = None,
        client_type: Text = None,
        changed: float | None = None,
    ) -> "Session":
        """Return a session with these texts."""
        texts = (session_state, client_version, agent_version, failed_code, app_server_group_id)
        return cls(id, _shared_kind(*texts, session_type, client_type), started, changed)

    @property
    def session_state(self) -> Text:
        """The state, as the cloud names it."""
        return self.kind.session_state


class AppSession(SessionKind, frozen=True, gc=False):
    """A session of ListSessionByUserName or ListSessions."""

    id: Text = None
    start_time: Time = None
    last_update_status_time: Time = None
    login_user: Name = None  # `name@domain`; personal, and not kept
    app_server_group_name: Name = None  # only in ListSessions

    def listed(self) -> tuple["ListedSession", int]:
        """Return the session with bounded texts, and how many of these were cut. Equal texts share their memory."""
        texts = [self.id, *msgspec.structs.astuple(self)[:_KIND_TEXTS]]
        if cut := sum(1 for text in texts if text and len(text) > MAX_CHARACTERS):
            texts = [text and text[:MAX_CHARACTERS] for text in texts]
        session_id, *others = texts
        started, started_utc = _moment(self.start_time or "")
        changed, changed_utc = _moment(self.last_update_status_time or "")
        utc = changed_utc if started is None else started_utc
        if changed_utc != utc:  # no difference to the start can be known
            changed = None
        minute = None if started is None else _minute(started)
        session = Session(session_id, _shared_kind(*others), minute, changed if utc else None)
        return ListedSession(self.login_user, session, started, changed, utc, self.app_server_group_name), cut


class UserDetail(msgspec.Struct, frozen=True, gc=False):
    """The flags of an account (UserDetail in the reference of ListUserDetail). None means unknown."""

    locked: bool | None = None
    user_expired: bool | None = None
    disabled: bool | None = None
    account_expires: int | None = None
    """End of the account's validity in milliseconds since 1970, UTC; 0 if it never ends."""
    next_login_change_password: bool | None = None
    password_never_expired: bool | None = None
    total_desktops: int | None = None


class User(msgspec.Struct, frozen=True, gc=False):
    """An entry of ListUsers. Some flags have another name or type than in ListUserDetail."""

    id: Name = None
    user_name: Name = None
    locked: bool | None = None
    account_expired: bool | None = None
    disabled: bool | None = None
    account_expires: Digits = None
    domain: Name = None
    next_login_change_password: bool | None = None
    password_never_expired: bool | None = None
    total_desktops: int | None = None

    @property
    def detail(self) -> UserDetail:
        """The account's flags. An end of the account that cannot be read is None."""
        try:
            expires = None if self.account_expires is None else int(self.account_expires)
        except ValueError:
            expires = None
        return shared_detail(
            self.locked,
            self.account_expired,
            self.disabled,
            expires,
            self.next_login_change_password,
            self.password_never_expired,
            self.total_desktops,
        )


shared_detail = lru_cache(maxsize=1024)(UserDetail)  # most accounts have the same flags and number of desktops
_shared_time = lru_cache(maxsize=4096)(float)  # sessions of the last days share their minutes


@lru_cache(maxsize=4096)
def _shared_kind(*texts: Text) -> SessionKind:
    return SessionKind(*[text and intern(text) for text in texts])


@lru_cache(maxsize=4096)  # the same sessions come with every poll
def _moment(time: str) -> tuple[float | None, bool]:
    """Return the time in seconds since 1970, None if it cannot be read, and whether it names a zone."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None, False
    seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return seconds if seconds > 0 else None, moment.tzinfo is not None  # the year 1 stands for none


def _minute(time: float) -> float:
    """Return the time rounded down to the minute."""
    return _shared_time(time // 60 * 60)


class ListedSession(NamedTuple):
    """A session as an answer lists it, with what is not kept. Times are in seconds since 1970."""

    login_user: str | None
    session: Session
    started: float | None = None
    changed: float | None = None  # when the state last changed
    utc: bool = False  # whether the times name their zone; otherwise the zone is unknown, and they are read as UTC
    group_name: str | None = None  # name of the server group

    def in_utc(self, ahead: float) -> "ListedSession":
        """Return the session with times in UTC, given by how many seconds their zone is ahead of it."""
        started, changed = (None if time is None else time - ahead for time in (self.started, self.changed))
        minute = None if started is None else _minute(started)
        session = msgspec.structs.replace(self.session, started=minute, changed=changed)
        return self._replace(session=session, started=started, changed=changed, utc=True)


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


class Server(msgspec.Struct, frozen=True, gc=False):
    """A server that sessions run on. Equal texts share their memory."""

    id: Text = None
    server_group_id: Text = None
    server_group_name: Text = None
    status: Text = None
    """``REGISTERED`` if it accepts sessions; the reference also has UNREGISTER, MAINTAINING, FREEZE, STOPPED, NONE."""

    session_count: int | None = None
    max_sessions: int | None = None


class ServerPage(NamedTuple):
    """An answer of ListServers."""

    servers: tuple[Server, ...]
    total: int | None = None  # number of servers on all pages; None if unknown


class ServerGroup(msgspec.Struct, frozen=True, gc=False):
    """A group of servers."""

    id: Text = None
    name: Text = None


class ServerGroupPage(NamedTuple):
    """An answer of ListServerGroups."""

    groups: tuple[ServerGroup, ...]
    total: int | None = None  # number of groups on all pages; None if unknown


class _ProductInfo(msgspec.Struct, frozen=True, gc=False):
    """The size of a server (ServerProductInfo in the SDK)."""

    sessions: Digits = None


class AppServer(msgspec.Struct, frozen=True, gc=False):
    """An entry of ListServers."""

    id: Name = None
    server_group_id: Text = None
    server_group_name: Text = None
    status: Text = None
    session_count: Digits = None
    product_info: _ProductInfo | None = None

    @property
    def server(self) -> Server:
        """The server as the exporter keeps it. A number that cannot be read is None."""
        return Server(
            self.id,
            shared_text(self.server_group_id),
            shared_text(self.server_group_name),
            shared_text(self.status),
            _count(self.session_count),
            _count(self.product_info.sessions if self.product_info else None),
        )


def shared_text(text: str | None) -> str | None:
    """Return the beginning of a text that many entries have; None instead of an empty one."""
    return intern(text[:MAX_CHARACTERS]) if text else None


def _count(value: str | int | None) -> int | None:
    try:
        number = -1 if value is None else int(value)
    except ValueError:
        return None
    return number if 0 <= number <= _MAX_COUNT else None
