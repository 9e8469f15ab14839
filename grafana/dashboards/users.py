"""Users: whose account has something wrong, for the help desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import colours, links, variables
from dashboards.board import Face, board
from dashboards.panels import (
    About,
    bounded,
    by_number,
    column,
    columns,
    distribution,
    lines,
    listing,
    number,
    transformation,
)
from dashboards.queries import covered, gauge, now, over_time, rows, share, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

SOON = 14
"""Days ahead of its end from which on an account is said to expire soon."""

NO_ANSWERS = "Nothing is known: no answer about accounts is fresh, see the Exporter dashboard"
NO_NAMES = "Nobody, or metrics.per_user names nobody"

_DAY = 86400
_LEFT = f"({gauge('user_account_expires_timestamp_seconds')} - time())"

PROBLEMS = {
    "missing": ("Missing in the cloud", colours.ACCOUNTS["missing"]),
    "locked": ("Locked", colours.ACCOUNTS["locked"]),
    "disabled": ("Disabled", colours.ACCOUNTS["disabled"]),
    "expired": ("Expired", colours.ACCOUNTS["expired"]),
    "soon": (f"Expires within {SOON} days", colours.ACCOUNTS["soon"]),
    "failed": ("Session cannot start", colours.ACCOUNTS["failed"]),
}
"""What may be wrong with a user, as a person reads it, and its colour."""


_KINDS = (
    (
        "locked",
        "Users whose account is locked, mostly after wrong passwords. Many at once are an attack or a broken client.",
        colours.above(1, 20),
    ),
    ("expired", "Users whose account has expired: it has to be extended.", colours.above(1, 20)),
    ("disabled", "Users whose account an administrator has disabled.", None),
    (
        "missing",
        "Configured users that the cloud does not know: a wrong name in the exporter's list, or a deleted account.",
        colours.above(1, 20),
    ),
)


FACE = Face(
    uid=links.USERS,
    title="Users",
    description="Accounts that keep people from working: locked, expired, disabled, missing or about to expire.",
    hours=24,
)


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        FACE,
        [
            variables.user(),
            variables.carried(variables.client_version()),
            variables.carried(variables.agent_version()),
        ],
        {
            "How many": _counts(),
            "Whom to help": _worklist(),
            "Trends, and what is coming": _trends(),
        },
    )


def _counts() -> Iterator[Builder[Panel]]:
    users = About(
        title="Users watched",
        description="Users that the exporter is configured to watch.",
        unit="short",
        empty=NO_ANSWERS,
        span=3,
        height=4,
    )
    yield number(users, now(total("users")))
    for name, description, thresholds in _KINDS:
        about = About(
            title=name.capitalize(),
            description=description,
            unit="short",
            empty=NO_ANSWERS,
            thresholds=thresholds,
            span=3,
            height=4,
        )
        yield number(about, now(total(f"users_{name}")))
    about = About(
        title=f"Expire within {SOON} days",
        description=f"Users whose account ends within {SOON} days and has not ended yet: extend them in time.",
        unit="short",
        empty=NO_NAMES,
        thresholds=colours.above(1, 20),
        span=3,
        height=4,
    )
    yield number(about, now(f"sum(({_LEFT} > bool 0) * ({_LEFT} <= bool {SOON * _DAY}))"))
    yield from _trust()


def _worklist() -> Iterator[Builder[Panel]]:
    about = About(
        title="Users with something wrong",
        description="A line for each user and problem. Locked: unlock it, or reset the password. Expired, or about "
        "to: extend the account. Disabled: ask who disabled it. Missing: compare the name with the cloud's. Session "
        "cannot start: see the Sessions dashboard. The names are those that metrics.user_label makes of them.",
        empty=f"Nothing is wrong with anybody. {NO_NAMES.removeprefix('Nobody, or ')} is the other reason",
        span=24,
        height=14,
    )
    table = listing(about, rows(_problems())).transformations(
        [
            columns(project="Project", user_name="User", problem="What is wrong", Value="Account ends"),
            transformation("sortBy", sort=[{"field": "User"}]),
        ]
    )
    table.override_by_name(
        "What is wrong",
        [
            DynamicConfigValue("mappings", [colours.words(dict(PROBLEMS))]),
            DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"}),
        ],
    )
    yield table.override_by_name(
        "Account ends",
        column(unit="dateTimeAsIso", mappings=[colours.absent("-")]),
    )


def _problems() -> str:
    """A series for each user and problem, told by the label `problem`; its value is when the account ends, in ms."""
    user = 'user_name=~"(?i).*$user.*"'
    ends = f"1000 * {gauge('user_account_expires_timestamp_seconds', user)}"
    expired = f"({gauge('user_expired', user)} == 1)"
    left = f"({gauge('user_account_expires_timestamp_seconds', user)} - time())"
    cannot_start = gauge("user_sessions", f'session_state="InitFail", {user}')
    found = {
        **{name: f"({gauge(f'user_{name}', user)} == 1) * NaN" for name in ("missing", "locked", "disabled")},
        "expired": f"({ends} and {expired}) or {expired} * NaN",
        "soon": f"{ends} and {left} > 0 and {left} <= {SOON * _DAY}",
        "failed": f"sum by (project, user_name) ({cannot_start}) * NaN",
    }
    return " or ".join(f'label_replace({query}, "problem", "{name}", "", "")' for name, query in found.items())


def _trust() -> Iterator[Builder[Panel]]:
    about = About(
        title="Accounts known",
        description="Share of the users whose account's last answer is fresh. Below 100 % the table lacks users.",
        unit="percentunit",
        empty="The exporter says nothing: is it running?",
        thresholds=colours.below(0.9, 0.99),
        span=3,
        height=4,
        follow=(links.follow(links.EXPORTER),),
    )
    accounts = 'operation=~"ListUserDetail|ListUsers"'
    yield number(about, now(f"min ({covered(accounts)})")).decimals(0)
    about = About(
        title="Accounts last asked for",
        description="How long ago a round over all accounts last went without a failed call. An unlocked user stays "
        "in the table until the next round.",
        unit="s",
        empty="No round has gone without a failed call yet",
        thresholds=colours.above(900, 3600),
        span=3,
        height=4,
        follow=(links.follow(links.EXPORTER),),
    )
    yield number(about, now(f"time() - min ({gauge('poll_last_success_timestamp_seconds', accounts)})"))


def _trends() -> Iterator[Builder[Panel]]:
    about = About(
        title="Accounts with something wrong",
        description="How many accounts are locked, expired, disabled or missing, in all chosen projects.",
        unit="short",
        empty=NO_ANSWERS,
        span=12,
    )
    kinds = [name for name, _, _ in _KINDS]
    panel = lines(about, *(over_time(total(f"users_{kind}"), PROBLEMS[kind][0]) for kind in kinds))
    for kind in kinds:
        text, colour = PROBLEMS[kind]
        panel.override_by_name(text, colours.fixed(colour))
    yield panel
    about = About(
        title="Share of users locked, by project",
        description="A few are everyday; a jump in one project is an attack, or a client that sends a wrong password.",
        unit="percentunit",
        empty=NO_ANSWERS,
        thresholds=colours.above(0.05, 0.1),
        span=12,
    )
    yield bounded(
        lines(about, over_time(share(total("users_locked", "project"), total("users", "project")), "{{project}}"))
    )
    about = About(
        title="Accounts that end, by days from now",
        description="How many accounts end on each of the next 30 days.",
        unit="short",
        empty=NO_NAMES,
        span=24,
        height=7,
    )
    days = f"ceil(({_LEFT} > 0 and {_LEFT} <= {30 * _DAY}) / {_DAY})"
    ends = distribution(about, "Days", rows(f'count_values("days", {days})'))
    yield ends.transformations([columns(days="Days", Value="Accounts"), *by_number("Days")])
