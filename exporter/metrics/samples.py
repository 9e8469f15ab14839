"""How the samples of each metric follow from a project's status. Pure.

Samples are pairs of label values, without ``project``, and a value.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from exporter.fleet import DOCUMENTED_STATES, INIT_FAIL, UNKNOWN
from exporter.metrics.labels import commonest, keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.cloud.models import UserDetail
    from exporter.fleet import FreshUser
    from exporter.metrics.labels import Labelling
    from exporter.status import ProjectStatus

    Samples = Iterable[tuple[tuple[str, ...], float]]
    Rule = Callable[[ProjectStatus, Labelling], Samples]
    Named = Sequence[tuple[str, FreshUser]]
    UserRule = Callable[[ProjectStatus], Callable[[Named], Samples]]

EXPIRING_SOON = 30 * 86400
"""Seconds ahead of an account's end from which on it is something to report."""

MAX_NEW_STATES = 20
"""Undocumented states that are told apart."""

USERS_A_PART = 100
"""Users whose metrics are rendered in one go, which takes a millisecond at most."""

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


def named(status: ProjectStatus, labelling: Labelling) -> Iterator[Named]:
    """The users that get metrics of their own, by what they are called there, some at a time and nobody twice."""
    if labelling.per_user == "none":
        return
    called: set[str] = set()
    for start in range(0, len(status.users), USERS_A_PART):
        part = []
        for user in status.users[start : start + USERS_A_PART]:
            wanted = labelling.per_user == "all" or _flagged(user, status.taken_at)
            if wanted and (name := labelling.user_label(user)) is not None and name not in called:
                called.add(name)
                part.append((name, user))
        yield part


def _flagged(user: FreshUser, now: float) -> bool:
    """Whether there is something to report: missing, a flag, an end that is near, or sessions that could not start."""
    account = user.account
    expiry = user_expiry(user)
    return (
        user.missing
        or (account is not None and bool(account.locked or account.user_expired or account.disabled))
        or (expiry is not None and expiry < now + EXPIRING_SOON)
        or user.init_failures > 0
        or any(session.session_state == INIT_FAIL for session in user.listed)
    )


def of_each(value: Callable[[FreshUser], float | None]) -> UserRule:
    """One number a user; none where there is None."""

    def some(users: Named) -> Samples:
        for label, user in users:
            if (found := value(user)) is not None:
                yield (label,), found

    return lambda _: some


def user_missing(user: FreshUser) -> bool | None:
    """Whether the cloud does not know the user; None where no answer of either kind is fresh."""
    return user.missing if user.known else None


def user_init_failures(user: FreshUser) -> int | None:
    """Sessions of the user seen to enter InitFail; None where there was none, as it is with nearly everybody."""
    return user.init_failures or None


def user_flag(name: str) -> UserRule:
    """1 or 0 for each user by a flag of the account; none where the cloud does not say."""
    flag: Callable[[UserDetail], bool | None] = attrgetter(name)
    return of_each(lambda user: flag(user.account) if user.account else None)


def user_expiry(user: FreshUser) -> float | None:
    """Seconds since 1970 of an account's end; None where it does not end."""
    milliseconds = (user.account.account_expires if user.account else None) or 0
    return milliseconds / 1000 if 0 < milliseconds < _YEAR_10000 * 1000 else None


def user_sessions(status: ProjectStatus) -> Callable[[Named], Samples]:
    """By user and state, only where there are any."""
    fold_state = _fold_state(state for state, _, _ in status.counts.sessions)

    def some(users: Named) -> Samples:
        for label, user in users:
            states = Counter([fold_state(session.session_state or UNKNOWN) for session in user.listed])
            for state, count in states.items():
                yield (label, state), count

    return some


def coverage(status: ProjectStatus, operation: str) -> float:
    """Share of the users with a fresh answer, 0 to 1."""
    return status.operations[operation].fresh / status.configured if status.configured else 1.0
