"""Three users, and the right numbers about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Numbers = dict[str, dict[tuple[str, ...], float]]
"""The samples about users and sessions by the metric's name and the labels' values."""

Sessions = Counter[tuple[str, str, str]]
"""By state, version of the client and version of the agent."""

Account = dict[str, Any]
"""An account's flags, by their names."""

USERS = ("ann", "bob", "zoe")
"""The configured ones; zoe is nobody that the cloud knows."""

SESSIONS: dict[str, list[dict[str, str]]] = {
    "ann": [
        {"id": "a1", "session_state": "Active", "client_version": "1.0", "agent_version": "2.0"},
        {"id": "a2", "session_state": "Disconnected", "client_version": "1.0", "agent_version": "2.0"},
    ],
    "bob": [
        {"id": "b1", "session_state": "Active", "client_version": "1.1", "agent_version": "2.0"},
        {"id": "b2", "session_state": "InitFail", "failed_code": "E1", "app_server_group_id": "g1"},
    ],
}
ACCOUNTS: dict[str, Account] = {
    "ann": {"locked": True, "user_expired": False, "disabled": False, "account_expires": 0},
    "bob": {"locked": False, "user_expired": True, "disabled": False, "account_expires": 1_900_000_000_000},
}
COUNTED: dict[str, Sessions] = {
    "ann": Counter({("Active", "1.0", "2.0"): 1, ("Disconnected", "1.0", "2.0"): 1}),
    "bob": Counter({("Active", "1.1", "2.0"): 1, ("InitFail", "unknown", "unknown"): 1}),
}
"""The sessions as they are counted."""

STATES = ("Active", "Disconnected", "AppcInit", "SignedOut", "InitFail")
FLAGS = {"locked": "locked", "user_expired": "expired", "disabled": "disabled"}
"""What each flag is called in the metrics."""


def of_sessions(sessions: Mapping[str, Sessions]) -> Numbers:
    """Return the right numbers about the sessions of these users."""
    total: dict[tuple[str, ...], float] = {(state,): 0 for state in STATES}
    by_version: dict[tuple[str, ...], float] = defaultdict(float)
    of_users: dict[tuple[str, ...], float] = defaultdict(float)
    for user, theirs in sessions.items():
        for labels, n in theirs.items():
            total[labels[:1]] = total.get(labels[:1], 0) + n
            by_version[labels] += n
            of_users[user, labels[0]] += n
    told = {"sessions": total, "sessions_by_version": dict(by_version), "user_sessions": dict(of_users)}
    return {name: samples for name, samples in told.items() if samples}


def of_accounts(accounts: Mapping[str, Account]) -> Numbers:
    """Return the right numbers about these accounts."""
    told: Numbers = {}
    for flag, name in FLAGS.items():
        said: dict[tuple[str, ...], float] = {
            (user,): float(account[flag]) for user, account in accounts.items() if flag in account
        }
        told[f"users_{name}"] = {(): sum(said.values())}
        told[f"user_{name}"] = said
    told["user_account_expires_timestamp_seconds"] = {
        (user,): account["account_expires"] / 1000 for user, account in accounts.items() if account["account_expires"]
    }
    return {name: samples for name, samples in told.items() if samples}


def of_users(missing: Sequence[str], fresh: Sequence[str] = USERS) -> Numbers:
    """Return the right numbers about users, some unknown to the cloud, and some with fresh answers."""
    return {
        "users": {(): len(USERS)},
        "users_missing": {(): len(missing)},
        "user_missing": {(user,): float(user in missing) for user in fresh},
    }


NO_NEW_FAILURE: Numbers = {"session_init_failures_total": {(): 0}}


def numbers(sessions: Mapping[str, Sessions], accounts: Mapping[str, Account]) -> Numbers:
    """The right numbers if ann and bob are known and nothing is stale."""
    return of_users(["zoe"]) | NO_NEW_FAILURE | of_sessions(sessions) | of_accounts(accounts)


HEALTHY = numbers(COUNTED, ACCOUNTS)
