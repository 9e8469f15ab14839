"""Users: accounts that keep people from working, for the help desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import colours, links, variables
from dashboards.board import Face, board
from dashboards.bounds import COVERAGE, SOON
from dashboards.panels import (
    About,
    by_number,
    coloured_by,
    column,
    columns,
    counts,
    distribution,
    lines,
    listing,
    number,
    sorted_by,
)
from dashboards.queries import (
    account_locks,
    covered,
    gauge,
    many_locks,
    now,
    over_time,
    rows,
    series,
    total,
    with_version_order,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders import stat
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

AHEAD = 30
"""Days ahead for which the dashboard shows how many accounts expire."""

NO_ACCOUNTS = "Unknown: no fresh answers about accounts"
NO_NAMES = "None known, or metrics.per_user shows no names"

_DAY = 86400
_MATCHING = 'user_name=~"(?i).*$user.*"'
_EXPIRY = "user_account_expires_timestamp_seconds"
_LEFT = f"({gauge(_EXPIRY)} - time())"

PROBLEMS = {
    "locked": "Locked",
    "failed": "Session start failed",
    "missing": "Unknown to the cloud",
    "expired": "Expired",
    "soon": f"Expires within {SOON} days",
    "disabled": "Disabled",
}
"""The kinds of problems, the most urgent first."""

FACE = Face(
    uid=links.USERS,
    title="Users",
    description="Accounts that keep people from working: locked, expired, unknown to the cloud, or about to expire.",
    hours=24,
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return board(
        FACE,
        [variables.user(), variables.client_version(), variables.carried(variables.agent_version())],
        {
            "Accounts now": _tiles(),
            "Users to help": _work_list(),
            "Over time, and what is coming": _trends(),
        },
    )


def _tiles() -> Iterator[Builder[Panel]]:
    yield _tile(
        "locked",
        "Users with a locked account. Red: in the last hour, more accounts of a project became locked than is "
        "usual, and enough for the alert WorkspaceUsersLocked: an attack, or a client that sends wrong passwords.",
        many_locks(),
        colours.BAD,
    )
    yield _tile(
        "missing",
        "Configured users without an account in the cloud: a wrong name in the configuration, or a deleted account. "
        f"{_GROWN}",
        _grown("missing"),
        colours.WARNING,
        span=8,
    )
    yield _tile(
        "expired",
        f"Users with an expired account: extend it. {_GROWN}",
        _grown("expired"),
        colours.WARNING,
    )
    yield _coverage()
    yield _properties()


def _tile(name: str, description: str, condition: str, colour: str, span: int = 5) -> stat.Panel:
    """Return a number of users, coloured if a project meets the condition."""
    about = About(
        title=PROBLEMS[name],
        description=description,
        unit="short",
        empty=NO_ACCOUNTS,
        thresholds=colours.backlog(),
        span=span,
        height=4,
    )
    users = total(f"users_{name}")
    panel = number(about, now(f"{users} and on () ({condition})"), now(f"{users} unless on () ({condition})"))
    panel.override_by_query("A", coloured_by(colours.only(colour)))
    return panel.text_mode(BigValueTextMode.VALUE)


_GROWN = "Orange: a project has more of them than a day ago."


def _grown(name: str) -> str:
    """The projects in which more users have this problem than a day ago."""
    users = series(f"users_{name}")
    return f"max by (project) ({users}) > max by (project) (last_over_time({users}[1h] offset 1d))"


def _coverage() -> Builder[Panel]:
    about = About(
        title="Accounts covered",
        description="Share of the watched users with fresh numbers about their account, in the project with the "
        "least. Below 100 % all counts are too low. The Exporter dashboard shows why.",
        unit="percentunit",
        empty="Unknown: is the exporter running?",
        thresholds=colours.below(*COVERAGE),
        span=6,
        height=4,
        follow=(links.follow(links.EXPORTER),),
    )
    accounts = 'operation=~"ListUserDetail|ListUsers"'
    return number(about, now(f"min ({covered(accounts)})")).decimals(0)


def _properties() -> Builder[Panel]:
    about = About(
        title="Watched users and their accounts",
        description="Numbers that the cloud does not report are missing. With metrics.per_user: none, it is unknown "
        "which accounts expire soon.",
        unit="none",
        empty=NO_ACCOUNTS,
        span=24,
        height=3,
    )
    properties = {
        "Watched": total("users"),
        f"Expire in {SOON} days": f"sum (({_LEFT} > bool 0) * ({_LEFT} <= bool {SOON * _DAY}))",
        "Disabled": total("users_disabled"),
        "Password change due": total("users_password_change_due"),
        "Password never expires": total("users_password_never_expires"),
        "Without a desktop": total("users_without_desktop"),
    }
    panel = number(about, *(now(users, name) for name, users in properties.items()))
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME)


def _work_list() -> Iterator[Builder[Panel]]:
    about = About(
        title="Users with a problem",
        description="A row for each user and problem, the most urgent first. Locked: unlock the account, or reset the "
        "password. Session start failed: see the Sessions dashboard. Unknown to the cloud: compare the name with the "
        "cloud's. Expired, or expires soon: extend the account. Disabled: find out who disabled it. "
        "metrics.user_label sets how users are named.",
        empty=f"{NO_NAMES}. The tiles above still count them.",
        span=24,
        height=12,
    )
    # The last sorting wins; rows that it finds equal keep the order of those before.
    table = listing(about, rows(_problems())).transformations(
        [
            *map(sorted_by, ("user_name", "Value", "urgency")),
            columns(problem="Problem", user_name="User", project="Project", Value="Expiry"),
        ]
    )
    texts = colours.words({name: (text, colours.ACCOUNTS[name]) for name, text in PROBLEMS.items()})
    table.override_by_name("Problem", column(mappings=[texts]))
    # The mapping is set here, because column() would colour the dates as well.
    none = DynamicConfigValue("mappings", [colours.words({"0": ("-", colours.UNKNOWN)})])
    yield table.override_by_name("Expiry", [*column(unit="time:YYYY-MM-DD HH:mm"), none])


def _problems() -> str:
    """Return a series for each user and problem, with the labels `problem` and `urgency`.

    Its value is when the account expires, in ms, or 0 if it does not matter.
    """
    ends = f"1000 * {gauge(_EXPIRY, _MATCHING)}"
    left = f"({gauge(_EXPIRY, _MATCHING)} - time())"
    expired = f"({gauge('user_expired', _MATCHING)} == 1)"
    failed = gauge("user_sessions", f'session_state="InitFail", {_MATCHING}')
    found = {
        **{name: f"0 * ({gauge(f'user_{name}', _MATCHING)} == 1)" for name in ("locked", "missing", "disabled")},
        "failed": f"0 * sum by (project, user_name) ({failed})",
        "expired": f"({ends} and {expired}) or 0 * {expired}",
        "soon": f"{ends} and {left} > 0 and {left} <= {SOON * _DAY}",
    }
    return " or ".join(
        f'label_replace(label_replace({found[name]}, "problem", "{name}", "", ""), "urgency", "{urgency}", "", "")'
        for urgency, name in enumerate(PROBLEMS)
    )


def _trends() -> Iterator[Builder[Panel]]:
    about = About(
        title="Accounts that became locked",
        description="Accounts of each project that became locked in each interval. A few are normal. Many at once: an "
        "attack, or a client that sends wrong passwords.",
        unit="short",
        empty=NO_ACCOUNTS,
        span=12,
    )
    yield counts(about, over_time(account_locks("$__interval"), "{{project}}", "30m"))
    about = About(
        title="Accounts with a problem",
        description="Accounts that are locked, expired or unknown to the cloud, in all chosen projects.",
        unit="short",
        empty=NO_ACCOUNTS,
        span=12,
    )
    kinds = "locked", "expired", "missing"
    panel = lines(about, *(over_time(total(f"users_{kind}"), PROBLEMS[kind]) for kind in kinds))
    for kind in kinds:
        panel.override_by_name(PROBLEMS[kind], colours.fixed(colours.ACCOUNTS[kind]))
    yield panel.decimals(0)
    yield _ends()
    yield _clients()


def _ends() -> Builder[Panel]:
    about = About(
        title="Accounts that expire, by day",
        description=f"Accounts that expire on each of the next {AHEAD} days. Day 1 is the next 24 hours.",
        unit="short",
        empty=NO_NAMES,
        span=24,
        height=6,
    )
    days = f"ceil(({_LEFT} > 0 <= {AHEAD * _DAY}) / {_DAY})"
    none = " or ".join(f'label_replace(vector(0), "days", "{day}", "", "")' for day in range(1, AHEAD + 1))
    ends = rows(f'count_values("days", {days}) or ({none}) and on () count({_LEFT})')
    panel = distribution(about, "Day", ends)
    panel.override_by_name("Accounts", [DynamicConfigValue("custom.axisPlacement", "hidden")])
    return panel.transformations([columns(days="Day", Value="Accounts"), *by_number("Day")])


def _clients() -> Builder[Panel]:
    about = About(
        title="Users by client version, oldest first",
        description="Users with a session, by the version of their client. Choose versions at the top. With "
        "metrics.per_user: flagged, only users with something to report are listed.",
        empty=NO_NAMES,
        span=24,
    )
    chosen = f'client_version=~"$client_version", client_version!~"unknown|other", {_MATCHING}'
    clients = gauge("user_client_info", chosen)
    return listing(about, rows(with_version_order(clients, "client_version"))).transformations(
        [
            sorted_by("user_name"),
            sorted_by("order"),
            columns(client_version="Version", user_name="User", client_type="Client", project="Project"),
        ]
    )
