"""The metrics of users and their accounts."""

from collections import Counter
from collections.abc import Callable

from exporter.fleet import UNKNOWN, FreshUser
from exporter.metrics.family import AnyFamily, UserFamily, counter, gauge
from exporter.metrics.labels import Samples, expiry_of, merge
from exporter.status import ProjectStatus


def _of_accounts(status: ProjectStatus, users: int) -> Samples:
    """Return a number of users, unless no account is known."""
    return {(): users} if status.accounts_known else {}


def _of_reports(status: ProjectStatus, users: int, reports: int) -> Samples:
    """Return a number of users, unless no account reports the property. Nobody to watch is known to be 0."""
    return _of_accounts(status, users) if reports or not status.configured else {}


def _of_users(status: ProjectStatus, users: int) -> Samples:
    """Return a number of users, unless neither sessions nor accounts are known."""
    return {(): users} if status.accounts_known or status.sessions_known else {}


def _user_gauge(name: str, text: str, samples: Callable[[FreshUser], Samples], *labels: str) -> UserFamily:
    return UserFamily(name, "gauge", text, ("user_name", *labels), samples)


def _account_flag(name: str, text: str, field: str) -> UserFamily:
    """Return the metric of a flag, which is absent if the cloud does not say."""
    return _user_gauge(name, text, lambda user: {(): getattr(user.account, field)} if user.account else {})


USER_METRICS: tuple[AnyFamily, ...] = (
    gauge("users", "Watched users.", lambda s: _of_users(s, s.configured)),
    gauge(
        "users_discovered",
        "Watched users that were discovered. Absent without `discover`.",
        lambda s: {(): s.discovery.users if s.discovery else None},
    ),
    gauge(
        "users_discovery_successful",
        "1 if the last listing for discovery was complete and plausible, else 0. Absent without `discover`.",
        lambda s: {(): s.discovery.successful if s.discovery else None},
    ),
    gauge("users_locked", "Users with a locked account.", lambda s: _of_accounts(s, s.counts.locked)),
    counter(
        "account_locks_total",
        "Accounts that became locked. A relock within an hour is not counted again.",
        lambda s: {(): s.account_locks},
    ),
    gauge("users_expired", "Users with an expired account.", lambda s: _of_accounts(s, s.counts.expired)),
    gauge("users_disabled", "Users with a disabled account.", lambda s: _of_accounts(s, s.counts.disabled)),
    gauge(
        "users_password_change_due",
        "Users who must change their password at the next log-in. Absent if no account reports it.",
        lambda s: _of_reports(s, s.counts.password_change_due, s.counts.password_change_known),
    ),
    gauge(
        "users_password_never_expires",
        "Users with a password that never expires. Absent if no account reports it.",
        lambda s: _of_reports(s, s.counts.password_never_expires, s.counts.password_expiry_known),
    ),
    gauge(
        "users_without_desktop",
        "Users without a desktop. Absent if no account reports its desktops.",
        lambda s: _of_reports(s, s.counts.without_desktop, s.counts.desktops_known),
    ),
    gauge("users_missing", "Configured users unknown to the cloud.", lambda s: _of_users(s, s.counts.missing)),
    _user_gauge(
        "user_missing",
        "1 if the cloud does not know the user, else 0.",
        lambda user: {(): user.missing} if user.known else {},
    ),
    _account_flag("user_locked", "1 if the account is locked, else 0.", "locked"),
    _account_flag("user_expired", "1 if the account has expired, else 0.", "user_expired"),
    _account_flag("user_disabled", "1 if the account is disabled, else 0.", "disabled"),
    _user_gauge(
        "user_account_expires_timestamp_seconds",
        "When the account expires. Absent if it never does.",
        lambda user: {(): expiry_of(user)},
    ),
    _user_gauge(
        "user_sessions",
        "Sessions of a user.",
        lambda user: Counter([(each.session_state or UNKNOWN,) for each in user.listed]) if user.sessions else {},
        "session_state",
    ),
    UserFamily(
        "user_client_info",
        "gauge",
        "Clients of a user's sessions. Always 1.",
        ("user_name", "client_version", "client_type"),
        lambda user: {
            (each.kind.client_version or UNKNOWN, each.kind.client_type or UNKNOWN): 1 for each in user.listed
        },
        fold=merge,
    ),
)
