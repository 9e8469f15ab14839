"""The decoding of each operation's answers.

It takes less than 50 ms for any body within its limit, because nothing is built from fields that are skipped.
"""

from collections.abc import Sequence
from typing import Generic

import msgspec

from exporter.cloud.bodies import Body, check_empty, present
from exporter.cloud.decoding import NULL, E, entries_as, lenient_decoder, listing_total
from exporter.cloud.models import (
    AppServer,
    AppSession,
    ServerGroup,
    ServerGroupPage,
    ServerPage,
    SessionList,
    SessionPage,
    User,
    UserDetail,
    UserPage,
    shared_detail,
    shared_text,
)

MAX_SESSIONS = 1_000
"""In one answer. A user has a few, and a page of ListSessions at most 100. An answer with more is invalid."""

MAX_USERS = 2_000  # in one answer. The exporter requests at most 1,000. An answer with more is invalid.
MAX_SERVERS = 1_000  # or server groups in one answer. A page has at most 100. An answer with more is invalid.


class _SessionList(Body, Generic[E], frozen=True):
    session_info_list: list[E] | None = None


class _Page(Body, Generic[E], frozen=True):
    items: list[E] | None = None
    count: msgspec.Raw = NULL


class _UserPage(Body, Generic[E], frozen=True):
    users: list[E] | None = None
    total_count: msgspec.Raw = NULL


class _UserDetailAnswer(Body, Generic[E], frozen=True):
    user_detail: E | None = None


def session_list(body: bytes) -> SessionList:
    """Decode an answer of ListSessionByUserName. A list may be null or absent, if there is nothing else."""
    found = _session_list(body).session_info_list
    if found is None:
        check_empty(body, "session_info_list")
    return _kept(entries_as(AppSession, found or [], MAX_SESSIONS))


def session_page(body: bytes) -> SessionPage:
    """Decode a page of ListSessions."""
    page = _session_page(body)
    sessions, cut = _kept(entries_as(AppSession, present(page.items, body), MAX_SESSIONS))
    return SessionPage(sessions, listing_total(page.count), cut)


def user_detail(body: bytes) -> UserDetail:
    """Decode an answer of ListUserDetail."""
    (detail,) = entries_as(UserDetail, [present(_user_detail(body).user_detail, body)], 1)
    return shared_detail(*msgspec.structs.astuple(detail))


def user_page(body: bytes) -> UserPage:
    """Decode a page of ListUsers."""
    page = _user_page(body)
    return UserPage(entries_as(User, present(page.users, body), MAX_USERS), listing_total(page.total_count))


def server_page(body: bytes) -> ServerPage:
    """Decode a page of ListServers."""
    page = _server_page(body)
    entries = entries_as(AppServer, present(page.items, body), MAX_SERVERS)
    return ServerPage(tuple(entry.server for entry in entries), listing_total(page.count))


def server_group_page(body: bytes) -> ServerGroupPage:
    """Decode a page of ListServerGroups."""
    page = _server_group_page(body)
    entries = entries_as(ServerGroup, present(page.items, body), MAX_SERVERS)
    groups = tuple(ServerGroup(shared_text(entry.id), shared_text(entry.name)) for entry in entries)
    return ServerGroupPage(groups, listing_total(page.count))


def _kept(entries: Sequence[AppSession]) -> SessionList:
    listed = [entry.listed() for entry in entries]
    return SessionList(tuple(session for session, _ in listed), sum(cut for _, cut in listed))


_session_list = lenient_decoder(_SessionList, AppSession)
_session_page = lenient_decoder(_Page, AppSession)
_user_page = lenient_decoder(_UserPage, User)
_user_detail = lenient_decoder(_UserDetailAnswer, UserDetail)
_server_page = lenient_decoder(_Page, AppServer)
_server_group_page = lenient_decoder(_Page, ServerGroup)
