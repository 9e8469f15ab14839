"""How the samples of each metric follow from a project's status. Pure.

Samples are pairs of label values, without ``project``, and a value.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from exporter.fleet import DOCUMENTED_STATES, INIT_FAIL, UNKNOWN
from exporter.metrics.labels import commonest, keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.fleet import FreshUser
    from exporter.metrics.labels import Labelling
    from exporter.status import ProjectStatus

    Samples = Iterable[tuple[tuple[str, ...], float]]
    Rule = Callable[[ProjectStatus, Labelling], Samples]

EXPIRING_SOON = 30 * 86400
"""Seconds ahead of an account's end from which on it is something to report."""

MAX_NEW_STATES = 20
"""Undocumented states that are told apart."""

_YEAR_10000 = 253402300800  # directories write "never" as a time beyond


def sessions(status: ProjectStatus, labelling: Labelling) -> Samples:
    """By state; the documented ones always, once anything is known."""
    if not status.sessions_known:
        return
    by_state = Counter(dict.fromkeys(((state,) for state in DOCUMENTED_STATES), 0))
    for (state, _, _), count in sessions_by_version(status, labelling):
        by_state[state,] += count
    yield from by_state.items()


def sessions_by_version(status: ProjectStatus, labelling: Labelling) -> Iterable[tuple[tuple[str, str, str], int]]:
    """By state and the two versions, with the rare versions folded together."""
    counts = status.counts.sessions
    fold_state = _fold_state(state for state, _, _ in counts)
    fold_client = commonest(((client, n) for (_, client, _), n in counts.items()), labelling.max_values)
    fold_agent = commonest(((agent, n) for (_, _, agent), n in counts.items()), labelling.max_values)
    folded: Counter[tuple[str, str, str]] = Counter()
    for (state, client, agent), n in counts.items():
        folded[fold_state(state), fold_client(client), fold_agent(agent)] += n
    return folded.items()


def _fold_state(states: Iterable[str]) -> Callable[[str], str]:
    """Keeps the documented states, and a few that the cloud may have got since."""
    new = sorted(set(states) - set(DOCUMENTED_STATES))
    return keeping((*DOCUMENTED_STATES, *new[:MAX_NEW_STATES]))


def failures_by(counts: Counter[str], labelling: Labelling) -> Samples:
    """InitFail by one property. The values seen first are kept, since a counter must not change its name."""
    fold = keeping(islice(counts, labelling.max_values))
    folded: Counter[str] = Counter()
    for value, n in counts.items():
        folded[fold(value)] += n
    return (((value,), n) for value, n in folded.items())


def folded(status: ProjectStatus, labelling: Labelling) -> Samples:
    """By label, how many values are not told apart."""
    states, clients, agents = ({labels[i] for labels in status.counts.sessions} for i in range(3))
    most = labelling.max_values
    failures = status.init_failures
    beyond = {
        "session_state": len(states - set(DOCUMENTED_STATES)) - MAX_NEW_STATES,
        "client_version": len(clients) - most,
        "agent_version": len(agents) - most,
        "failed_code": len(failures.by_code) - most,
        "app_server_group_id": len(failures.by_server_group) - most,
    }
    return (((label,), max(n, 0)) for label, n in beyond.items())


def of_accounts(count: Callable[[ProjectStatus], int]) -> Rule:
    """One number that follows from the accounts; none as long as no account is fresh."""
    return lambda status, _: [((), count(status))] if status.accounts_known else []


def of_users(count: Callable[[ProjectStatus], int]) -> Rule:
    """One number about the users; none as long as no answer of either kind is fresh."""
    return lambda status, _: [((), count(status))] if status.accounts_known or status.sessions_known else []


def single(value: Callable[[ProjectStatus], float | None]) -> Rule:
    """One number; none where there is None."""

    def rule(status: ProjectStatus, _: Labelling) -> Samples:
        found = value(status)
        return [] if found is None else [((), found)]

    return rule


def by_operation(value: Callable[[ProjectStatus, str], float | None]) -> Rule:
    """One number an operation; none where there is None."""

    def rule(status: ProjectStatus, _: Labelling) -> Samples:
        for operation in status.operations:
            if (found := value(status, operation)) is not None:
                yield (operation,), found

    return rule


def _named_users(status: ProjectStatus, labelling: Labelling) -> Iterator[tuple[str, FreshUser]]:
    """The users that get metrics of their own, by what they are called there."""
    for user in status.users:
        wanted = labelling.per_user == "all" or (labelling.per_user == "flagged" and _flagged(user, status.taken_at))
        if wanted and (name := labelling.user_label(user)) is not None:
            yield name, user


def _flagged(user: FreshUser, now: float) -> bool:
    """Whether there is something to report: missing, a flag, an end that is near, or a session that could not start."""
    account = user.account
    expiry = _expiry(user)
    return (
        user.missing
        or (account is not None and bool(account.locked or account.user_expired or account.disabled))
        or (expiry is not None and expiry < now + EXPIRING_SOON)
        or any(session.session_state == INIT_FAIL for session in user.listed)
    )


def user_missing(status: ProjectStatus, labelling: Labelling) -> Samples:
    """1 or 0 for each user with a fresh answer of either kind."""
    for label, user in _named_users(status, labelling):
        if user.known:
            yield (label,), float(user.missing)


def user_flag(name: str) -> Rule:
    """1 or 0 for each user by a flag of the account; none where the cloud does not say."""

    def rule(status: ProjectStatus, labelling: Labelling) -> Samples:
        for label, user in _named_users(status, labelling):
            flag = getattr(user.account, name) if user.account else None
            if flag is not None:
                yield (label,), float(flag)

    return rule


def user_expiries(status: ProjectStatus, labelling: Labelling) -> Samples:
    """Seconds since 1970 for each account that ends."""
    for label, user in _named_users(status, labelling):
        if (expiry := _expiry(user)) is not None:
            yield (label,), expiry


def _expiry(user: FreshUser) -> float | None:
    milliseconds = (user.account.account_expires if user.account else None) or 0
    return milliseconds / 1000 if 0 < milliseconds < _YEAR_10000 * 1000 else None


def user_sessions(status: ProjectStatus, labelling: Labelling) -> Samples:
    """By user and state, only where there are any."""
    fold_state = _fold_state(state for state, _, _ in status.counts.sessions)
    for label, user in _named_users(status, labelling):
        for state, count in Counter(fold_state(session.session_state or UNKNOWN) for session in user.listed).items():
            yield (label, state), count


def coverage(status: ProjectStatus, operation: str) -> float:
    """Share of the users with a fresh answer, 0 to 1."""
    return status.operations[operation].fresh / status.configured if status.configured else 1.0
