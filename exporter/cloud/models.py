"""The fields used of the cloud's answers, and their decoding.

Any field may be absent or null, and new ones appear without notice; what is not named here is skipped unread,
personal data above all.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from exporter.cloud.bodies import Body, ErrorBody, decoder, error_code, present

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST_CHARACTERS = 128
"""What is kept of each text of a session: real ones have a quarter of that, hostile ones must not fill the memory."""


MOST_SESSIONS = 10_000
"""Of one user, or on a page; real ones have a few. An answer with more is not believed, and not decoded."""


class _SessionTexts(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a session as the cloud tells it (AppSession in the reference of ListSessionByUserName)."""

    id: str | None = None
    session_state: str | None = None
    client_version: str | None = None
    agent_version: str | None = None
    failed_code: str | None = None
    app_server_group_id: str | None = None


_TEXTS = len(_SessionTexts.__struct_fields__)


class Session(_SessionTexts, frozen=True, gc=False):
    """A session of a user, as it is kept."""

    started: float | None = None
    """Seconds since 1970, down to a minute's begin, its time being read as UTC, since it carries no zone.

    None where it cannot be read.
    """


class AppSession(_SessionTexts, frozen=True, gc=False):
    """A session of ListSessionByUserName."""

    start_time: Any = None

    @property
    def texts(self) -> tuple[str | None, ...]:
        """Those that are kept, in the order in which a session has them."""
        return msgspec.structs.astuple(self)[:_TEXTS]

    @property
    def started(self) -> float | None:
        """As a session has it."""
        try:
            time = datetime.fromisoformat(self.start_time)
        except (TypeError, ValueError):
            return None
        return _shared_time(time.replace(tzinfo=time.tzinfo or UTC, second=0, microsecond=0).timestamp())


class SessionInfo(AppSession, frozen=True, gc=False):
    """An item of ListSessions: a session with whose it is."""

    login_user: str | None = None
    """``user@domain``; personal, and not kept."""

    @property
    def user_name(self) -> str | None:
        """The bare name of the user."""
        return self.login_user and (self.login_user.rpartition("@")[0] or self.login_user)


class UserDetail(msgspec.Struct, frozen=True, gc=False):
    """An account's flags (UserDetail in the reference of ListUserDetail)."""

    locked: bool | None = None
    user_expired: bool | None = None
    disabled: bool | None = None
    account_expires: int | None = None
    """End of the account's validity in milliseconds since 1970, UTC; 0 where it never ends."""


class User(msgspec.Struct, frozen=True, gc=False):
    """An entry of ListUsers, which names and types some of an account's flags otherwise than ListUserDetail."""

    id: str | None = None
    user_name: str | None = None
    locked: bool | None = None
    account_expired: bool | None = None
    disabled: bool | None = None
    account_expires: str | int | None = None

    @property
    def detail(self) -> UserDetail:
        """The account's flags; an end of the account that cannot be read is none."""
        try:
            expires = None if self.account_expires is None else int(self.account_expires)
        except ValueError:
            expires = None
        return _shared_detail(self.locked, self.account_expired, self.disabled, expires)


_shared_detail = lru_cache(maxsize=1024)(UserDetail)  # most accounts are in no way special
_shared_time = lru_cache(maxsize=4096)(float)  # of sessions of the last days


class _SessionList(Body, frozen=True):
    session_info_list: list[AppSession] | None = None


class _UserDetailAnswer(Body, frozen=True):
    user_detail: UserDetail | None = None


class _SessionPage(Body, frozen=True):
    items: list[SessionInfo] | None = None
    count: int | None = None


class UserPage(Body, frozen=True):
    """One page of ListUsers."""

    users: list[User] | None = None
    total_count: int | None = None
    """Users on all pages together."""


class SecurityKey(msgspec.Struct, frozen=True):
    """Temporary keys of an ECS, from its metadata service."""

    access: str
    secret: str
    securitytoken: str
    expires_at: str

    def __repr__(self) -> str:
        """Show no secrets."""
        return f"SecurityKey(expires_at={self.expires_at!r})"


class _SecurityKeyAnswer(Body, frozen=True):
    credential: SecurityKey | None = None


class _TokenFields(msgspec.Struct, frozen=True):
    expires_at: str


class _TokenAnswer(Body, frozen=True):
    token: _TokenFields | None = None


_session_list = decoder(_SessionList)
_user_detail = decoder(_UserDetailAnswer)
_security_key = decoder(_SecurityKeyAnswer)
_token = decoder(_TokenAnswer)
_user_page = decoder(UserPage)
_session_page = decoder(_SessionPage)


class SessionList(NamedTuple):
    """An answer of ListSessionByUserName."""

    sessions: tuple[Session, ...]
    cut: int
    """Texts that were longer than what is kept of them."""


class SessionPage(NamedTuple):
    """An answer of ListSessions."""

    sessions: tuple[tuple[str | None, Session], ...]
    """Each with the name of its user, as far as it is told."""
    total: int | None
    """Sessions on all pages together; None where the cloud does not say."""
    cut: int
    """Texts that were longer than what is kept of them."""


def session_list(body: bytes) -> SessionList:
    """The sessions in an answer of ListSessionByUserName; an absent list is an empty one."""
    _check_size(body)
    found = _session_list(body).session_info_list
    if found is None and (code := error_code(body)):
        raise ErrorBody(code)
    return _kept(found or [])


def session_page(body: bytes) -> SessionPage:
    """A page of ListSessions."""
    _check_size(body)
    page = _session_page(body)
    items = present(page.items, body)
    sessions, cut = _kept(items)
    names = (item.user_name for item in items)
    return SessionPage(tuple(zip(names, sessions, strict=True)), page.count, cut)


def _check_size(body: bytes) -> None:
    """Raise ErrorBody for a list of more than anybody has: each entry has a brace, and few texts have any."""
    if body.count(b"{") > 2 * MOST_SESSIONS:
        raise ErrorBody(None)


def _kept(sessions: Sequence[AppSession]) -> SessionList:
    """The sessions as they are kept: in bounded texts, of which the same ones share their memory.

    ErrorBody where they are more than anybody has.
    """
    if len(sessions) > MOST_SESSIONS:
        raise ErrorBody(None)
    kept, cut = [], 0
    for session in sessions:
        texts = session.texts
        if too_long := [text for text in texts if text and len(text) > MOST_CHARACTERS]:
            cut += len(too_long)
            texts = tuple(text and text[:MOST_CHARACTERS] for text in texts)
        session_id, *others = texts
        state, client, agent, code, group = [text and intern(text) for text in others]
        kept.append(Session(session_id, state, client, agent, code, group, session.started))
    return SessionList(tuple(kept), cut)


def user_detail(body: bytes) -> UserDetail:
    """The account in an answer of ListUserDetail."""
    detail = present(_user_detail(body).user_detail, body)
    return _shared_detail(detail.locked, detail.user_expired, detail.disabled, detail.account_expires)


def user_page(body: bytes) -> UserPage:
    """A page of ListUsers; its list is never None."""
    _check_size(body)
    page = _user_page(body)
    present(page.users, body)
    return page


def security_key(body: bytes) -> SecurityKey:
    """The temporary keys in an answer of the metadata service."""
    return present(_security_key(body).credential, body)


def token_expiry(body: bytes) -> str:
    """When the token ends that an answer of KeystoneCreateUserTokenByPassword is about."""
    return present(_token(body).token, body).expires_at
