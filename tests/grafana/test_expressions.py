"""The results of the dashboards' expressions for a few series, as promtool evaluates them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dashboards.queries import affected, appearances, minimum_users, with_group_name
from support.commands import said
from support.dashboards import fill, queries
from support.deployment import write

from exporter.fleet import spike

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TOTAL, BY_CODE = "session_init_failures_total", "session_init_failures_by_code_total"
FIVE_MINUTES = fill(appearances(BY_CODE, "failed_code", "5m"), {"project": ".*"})
CHOSEN = dict.fromkeys(("project", "instance", "exporter_version", "client_version", "agent_version"), ".*")
CHOSEN |= {"user": "", "__rate_interval": "5m"}


def of(name: str, **labels: str) -> str:
    """A series of the exporter's, by its name without the prefix."""
    pairs = {"job": "workspace", "instance": "a:10099", "project": "berlin", **labels}
    return f"huaweicloud_workspace_{name}{{{', '.join(f'{key}={json.dumps(value)}' for key, value in pairs.items())}}}"


async def evaluated(tool: Callable[[str], str], directory: Path, **test: Any) -> None:
    """Fail unless the expressions have the expected samples."""
    tests = {"evaluation_interval": "20s", "tests": [{"interval": "1m", **test}]}
    write(directory / "test.yml", tests)
    code, text = await said(tool("promtool"), "test", "rules", str(directory / "test.yml"))
    assert code == 0, text


def expected(expression: str, at: str, samples: Mapping[str, float]) -> dict[str, Any]:
    """An expression's value by labels, at a time."""
    found = [{"labels": labels, "value": value} for labels, value in samples.items()]
    return {"expr": expression, "eval_time": at, "exp_samples": found}


def shown(dashboard: str, panel: str, project: str = ".*") -> list[str]:
    """The expressions of a panel, with all projects or one of them chosen, and everything else."""
    chosen = CHOSEN | {"project": project}
    return [query.filled(chosen) for query in queries(dashboard) if query.where.startswith(f"{dashboard}: {panel} ")]


def series(**values: str) -> list[dict[str, str]]:
    return [{"series": name, "values": value} for name, value in values.items()]


async def test_a_counter_that_comes_back_after_a_gap_shows_no_new_failures(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """Prometheus was away for two hours, the exporter was not: it has counted 12, one of them since."""
    values = {
        of(TOTAL): "10x60 _x120 11x10 12x60",
        of(BY_CODE, failed_code="old"): "10x60 _x120 11x10 12x60",
    }
    steps = [expected(FIVE_MINUTES, f"{minute}m", {'{failed_code="old"}': 0}) for minute in (184, 188, 250)]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_the_first_failure_with_a_code_is_one_whenever_it_comes(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """In the minutes after a start, later, and while Prometheus misses half an hour."""
    values = {
        of(TOTAL): "_x10 0 3x89 5x30 _x30 9x60",
        of(BY_CODE, failed_code="early"): "_x11 3x89 3x30 _x30 3x60",
        of(BY_CODE, failed_code="later"): "_x101 2x29 _x30 2x60",
        of(BY_CODE, failed_code="unseen"): "_x162 4x60",
    }
    steps = [
        expected(FIVE_MINUTES, "13m", {'{failed_code="early"}': 3}),
        expected(FIVE_MINUTES, "30m", {'{failed_code="early"}': 0}),
        expected(FIVE_MINUTES, "103m", {'{failed_code="early"}': 0, '{failed_code="later"}': 2}),
        expected(
            FIVE_MINUTES,
            "164m",
            {'{failed_code="early"}': 0, '{failed_code="later"}': 0, '{failed_code="unseen"}': 4},
        ),
    ]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_that_the_cloud_does_not_know_a_user_is_no_failed_request(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """One in ten requests is about an unknown user, and one fails."""
    queried = {"operation": "ListSessionByUserName"}
    values = {
        of("api_requests_total", code="200", **queried): "0+8x30",
        of("api_requests_total", code="404", **queried): "0+1x30",
        of("api_requests_total", code="503", **queried): "0+1x30",
    }
    (failing,) = shown("exporter.json", "Failed requests, share")
    steps = [expected(f"round({failing}, 0.001)", "30m", {'{project="berlin"}': 0.1})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_each_exporter_of_a_project_has_the_rate_limit(tool: Callable[[str], str], tmp_path: Path) -> None:
    """The one that uses most of it counts."""
    queried = {"code": "200", "operation": "ListSessionByUserName"}
    values = {
        of("api_requests_total", **queried): "0+90x30",
        of("api_requests_total", instance="b:10099", **queried): "0+60x30",
        of("api_requests_total", project="paris", **queried): "0+90x30",
        of("poll_rate_limit"): "180x30",
        of("poll_rate_limit", instance="b:10099"): "180x30",
        of("poll_rate_limit", project="paris"): "120x30",
    }
    (used,) = shown("exporter.json", "Rate limit used, by project")
    steps = [expected(f"round({used}, 0.001)", "30m", {'{project="berlin"}': 0.5, '{project="paris"}': 0.75})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_coverage_is_that_of_the_better_covered_of_the_two_operations_that_show_the_same(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """A number for both sessions and accounts is the worse of them."""
    values = {
        of("poll_coverage_ratio", operation="ListSessions"): "1x30",
        of("poll_coverage_ratio", operation="ListSessionByUserName"): "0.5x30",
        of("poll_coverage_ratio", operation="ListUsers"): "0.75x30",
        of("poll_coverage_ratio", project="paris", operation="ListSessionByUserName"): "1x30",
        of("poll_coverage_ratio", project="paris", operation="ListUserDetail"): "1x30",
    }
    low, sessions = shown("sessions.json", "Coverage")
    (accounts,) = shown("users.json", "Accounts covered")
    (all_of_them,) = shown("exporter.json", "Coverage")
    shares = ((sessions, 1), (accounts, 0.75), (all_of_them, 0.75))
    steps = [expected(low, "30m", {}), *(expected(expression, "30m", {"{}": value}) for expression, value in shares)]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_the_table_of_projects_shows_where_sessions_come_from_if_the_exporter_reports_it(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """It has one row a project also while two exporters differ, as they do over rome."""
    values = {
        of("up", site="adlershof"): "1x30",
        of("poll_source_info", source="bulk", site="adlershof"): "1x30",
        of("up", project="paris"): "0x30",
        of("up", project="rome"): "1x30",
        of("up", project="rome", instance="b:10099"): "1x30",
        of("poll_source_info", project="rome", source="bulk"): "1x30",
        of("poll_source_info", project="rome", instance="b:10099", source="per_user"): "1x30",
    }
    connected, *_ = shown("exporter.json", "Projects")
    told = {'{project="berlin", source="bulk"}': 1, '{project="paris"}': 0}
    steps = [
        expected(f"({connected}) unless on (project) {of('up', project='rome')}", "30m", told),
        expected(f"count ({connected})", "30m", {"{}": 3}),
    ]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_an_operation_without_a_successful_cycle_is_behind_since_they_began(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """They begin with the process, or where a project is added later. What another exporter has got counts as got."""
    once, twice = {"operation": "ListSessions"}, {"operation": "ListSessions", "instance": "b:10099"}
    values = {
        'process_start_time_seconds{job="workspace", instance="a:10099"}': "60x30",
        'process_start_time_seconds{job="workspace", instance="b:10099"}': "60x26 1560x4",
        of("poll_interval_seconds", operation="ListUsers"): "_ 60x29",
        of("poll_last_success_timestamp_seconds", operation="ListUsers"): "_ 60+60x29",
        of("poll_interval_seconds", **once): "_ 60x29",
        of("poll_interval_seconds", project="added", **once): "_x20 60x10",
        of("poll_interval_seconds", project="restarted", **twice): "_ 60x29",
        of("poll_interval_seconds", project="shared", **once): "_ 60x29",
        of("poll_last_success_timestamp_seconds", project="shared", **once): "_ 600x29",
        of("poll_interval_seconds", project="shared", **twice): "_x28 60x2",
    }
    behind = {"berlin": 29, "added": 10, "restarted": 4, "shared": 20}
    steps = []
    for name, rounds in behind.items():
        (expression,) = shown("exporter.json", "Cycles behind", name)
        steps.append(expected(expression, "30m", {"{}": rounds}))
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_cycles_that_began_within_the_last_minute_are_not_taken_for_as_old_as_the_process(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    values = {
        'process_start_time_seconds{job="workspace", instance="a:10099"}': "1x3",
        of("poll_interval_seconds", operation="ListSessions"): "_x3 60",
    }
    (behind,) = shown("exporter.json", "Cycles behind")
    steps = [expected(f"floor({behind})", "140s", {"{}": 0})]
    await evaluated(tool, tmp_path, interval="45s", input_series=series(**values), promql_expr_test=steps)


async def test_cycles_that_take_hours_are_behind_by_more_of_them_than_a_day_has(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """Nine hours each, of a project that was added 45 hours ago and has never had a round without a failed call."""
    values = {
        'process_start_time_seconds{job="workspace", instance="a:10099"}': "1x560",
        of("poll_interval_seconds", operation="ListSessionByUserName"): "_x20 32400x540",
    }
    (behind,) = shown("exporter.json", "Cycles behind")
    steps = [expected(behind, "46h40m", {"{}": 5})]
    await evaluated(tool, tmp_path, interval="5m", input_series=series(**values), promql_expr_test=steps)


async def test_the_minimum_of_users_is_that_of_the_alert(tool: Callable[[str], str], tmp_path: Path) -> None:
    sizes = (1, 2, 3, 5, 200, 300, 1000, 3000, 20000)
    values = {of("users", project=f"p{size}"): f"{size}x3" for size in sizes}
    found = {f'{{project="p{size}"}}': round(spike.minimum_users(size), 3) for size in sizes}
    expression = f"round({fill(minimum_users(), CHOSEN)}, 0.001)"
    steps = [expected(expression, "2m", found)]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_projects_are_affected_when_enough_users_fail(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Distinct users count; without metrics about users, the failures do. The project's further labels do not."""
    further = {"project": "berlin", "site": "adlershof"}
    values = {
        of("users", **further): "100x10",
        of("session_starts_total", **further): "0x5 10x5",
        of(TOTAL, **further): "0x5 4x5",
        **{of("session_init_failures_by_user_total", user_name=name, **further): "_x5 1x5" for name in "abc"},
        of("users", project="one-user"): "100x10",
        of("session_starts_total", project="one-user"): "0x5 10x5",
        of(TOTAL, project="one-user"): "0x5 4x5",
        of("session_init_failures_by_user_total", project="one-user", user_name="a"): "_x5 4x5",
        of("users", project="nameless"): "100x10",
        of("session_starts_total", project="nameless"): "0x5 10x5",
        of(TOTAL, project="nameless"): "0x5 4x5",
    }
    expression = f"round({fill(affected(), CHOSEN)}, 0.01)"
    steps = [expected(expression, "8m", {'{project="berlin"}': 0.4, '{project="nameless"}': 0.4})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_server_groups_have_names_where_these_are_known(tool: Callable[[str], str], tmp_path: Path) -> None:
    """A group that was renamed while two exporters watch it has one of its names."""
    named, unnamed = {"app_server_group_id": "1"}, {"app_server_group_id": "2"}
    values = {
        of("app_server_sessions", **named): "5x10",
        of("app_server_sessions", **unnamed): "7x10",
        of("app_server_group_info", app_server_group_name="office", **named): "1x10",
        of("app_server_group_info", app_server_group_name="office", instance="b:10099", site="x", **named): "1x10",
    }
    sessions = "max by (project, app_server_group_id) (huaweicloud_workspace_app_server_sessions)"
    found = {
        '{project="berlin", app_server_group_id="1", group="office"}': 5,
        '{project="berlin", app_server_group_id="2", group="2"}': 7,
    }
    steps = [expected(fill(with_group_name(sessions), CHOSEN), "5m", found)]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_a_server_group_without_servers_is_down_only_if_it_is_used(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    registered, stopped = {"status": "REGISTERED"}, {"status": "STOPPED"}
    values = {
        of("up"): "1x10",
        of("app_servers", app_server_group_id="lost", **registered): "0x10",
        of("app_servers", app_server_group_id="lost", **stopped): "3x10",
        of("app_servers", app_server_group_id="unused", **registered): "0x10",
        of("app_servers", app_server_group_id="healthy", **registered): "2x10",
    }
    down, _, none = shown("wall.json", "Failing server groups")
    found = {'{project="berlin", app_server_group_id="lost", group="lost"}': 0}
    steps = [expected(down, "5m", found), expected(none, "5m", {})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_locked_accounts_are_news_under_the_condition_of_the_alert(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """Twice the users of an incident become locked within an hour, or all. Two exporters do not count them twice."""
    values: dict[str, str] = {}
    for project, users, locks in (("many", 150, 7), ("few", 150, 2), ("all", 4, 4)):
        for instance in ("a:10099", "b:10099"):
            labels = {"project": project, "instance": instance, "site": "adlershof"}
            values |= {
                of("users", **labels): f"{users}x60",
                of("users_locked", **labels): f"{locks}x60",
                of("account_locks_total", **labels): f"0x20 {locks}x40",
            }
    steps = []
    for project, letter, locks in (("many", "A", 7), ("few", "B", 2), ("all", "A", 4)):
        for expression, each in zip(shown("users.json", "Locked", project), "AB", strict=True):
            steps.append(expected(expression, "60m", {"{}": locks} if each == letter else {}))
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_locks_that_are_usual_at_this_time_of_the_day_are_no_news(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """A day ago a third as many became locked, or in the other project fewer."""
    values: dict[str, str] = {}
    for project, before in (("usual", 4), ("unusual", 2)):
        values |= {
            of("users", project=project): "150x200",
            of("account_locks_total", project=project): f"0x5 {before}x143 {before + 9}x20",
        }
    unusual, _ = shown("wall.json", "Locked users")
    steps = [expected(f"round({unusual})", "1505m", {'{project="unusual"}': 11})]
    await evaluated(tool, tmp_path, interval="10m", input_series=series(**values), promql_expr_test=steps)


async def test_more_unknown_or_expired_users_than_a_day_ago_are_news(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """In any project; what was so a day ago, or in a project that is new, is none."""
    values = {
        of("users_missing"): "2x1500 3x240",
        of("users_missing", project="paris"): "2x1500 1x240",
        of("users_expired"): "5x1740",
        of("users_expired", project="paris"): "_x1500 7x240",
    }
    more, _ = shown("users.json", "Unknown to the cloud")
    grown, same = shown("users.json", "Expired")
    steps = [expected(more, "1700m", {"{}": 4}), expected(grown, "1700m", {}), expected(same, "1700m", {"{}": 12})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_the_days_on_which_accounts_end_have_no_gaps(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Without metrics about users, nothing is known about any day."""
    ends = "user_account_expires_timestamp_seconds"
    values = {
        of(ends, user_name="10023"): f"{3.5 * 86400:.0f}x10",
        of(ends, user_name="10024"): f"{40 * 86400}x10",
        of("users", project="nameless"): "5x10",
    }
    (days,) = shown("users.json", "Accounts that expire, by day", "berlin")
    (unknown,) = shown("users.json", "Accounts that expire, by day", "nameless")
    found = {f'{{days="{day}"}}': float(day == 4) for day in range(1, 31)}
    steps = [expected(days, "5m", found), expected(unknown, "5m", {})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_problems_are_ranked_by_urgency(tool: Callable[[str], str], tmp_path: Path) -> None:
    """A disabled account comes last. The value is when the account ends, if that is the problem."""
    user = {"user_name": "10023", "site": "adlershof"}
    values = {
        **{of(f"user_{flag}", **user): "1x10" for flag in ("locked", "disabled", "expired")},
        of("user_account_expires_timestamp_seconds", **user): "60x10",
        of("user_missing", **user): "0x10",
    }
    (problems,) = shown("users.json", "Users with a problem")
    labels = '{{project="berlin", user_name="10023", problem="{}", urgency="{}"}}'
    found = {"locked": (0, 0), "expired": (3, 60_000), "disabled": (5, 0)}
    samples = {labels.format(problem, urgency): value for problem, (urgency, value) in found.items()}
    steps = [expected(problems, "5m", samples)]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_few_requests_have_no_share_of_failed_ones(tool: Callable[[str], str], tmp_path: Path) -> None:
    """One of two is not 50 %."""
    values = {
        of("api_requests_total", operation="ListUsers", code="200"): "0x29 1",
        of("api_requests_total", operation="ListUsers", code="503"): "0x29 1",
    }
    expressions = (shown("exporter.json", f"{what} requests, share") for what in ("Failed", "Throttled"))
    steps = [expected(expression, "30m", {}) for (expression,) in expressions]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_failing_users_are_distinguished_from_failed_starts(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Without metrics about users nobody knows how many users the failed starts are of."""
    values = {
        of("users"): "100x10",
        of(TOTAL): "0x5 9x5",
        **{of("session_init_failures_by_user_total", user_name=name): "_x5 3x5" for name in "abc"},
        of("users", project="nameless"): "100x10",
        of(TOTAL, project="nameless"): "0x5 9x5",
    }
    users, starts, few = shown("wall.json", "Failing users")
    steps = [
        expected(users, "8m", {'{project="berlin"}': 3}),
        expected(f"round({starts}, 5)", "8m", {'{project="nameless"}': 10}),
        expected(few, "8m", {}),
    ]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_the_wall_names_each_project_that_is_not_covered(tool: Callable[[str], str], tmp_path: Path) -> None:
    queried = {"operation": "ListSessionByUserName"}
    values = {
        of("poll_coverage_ratio", **queried): "1x10",
        of("poll_coverage_ratio", project="paris", **queried): "0.5x10",
    }
    low, enough = shown("wall.json", "Coverage")
    steps = [expected(low, "5m", {'{project="paris"}': 0.5}), expected(enough, "5m", {})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_a_server_group_has_a_problem_when_it_is_almost_full(tool: Callable[[str], str], tmp_path: Path) -> None:
    values: dict[str, str] = {}
    for group, sessions in (("full", 17), ("free", 16)):
        labels = {"app_server_group_id": group}
        values |= {
            of("app_server_sessions", **labels): f"{sessions}x10",
            of("app_server_session_capacity", **labels): "20x10",
            of("app_servers", status="REGISTERED", **labels): "2x10",
        }
    *_, used = shown("sessions.json", "Server groups with a problem")
    steps = [expected(used, "5m", {'{project="berlin", app_server_group_id="full", group="full"}': 0.85})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_a_version_is_compared_with_all_others(tool: Callable[[str], str], tmp_path: Path) -> None:
    """A version without failures counts among the others, or is all of them; one with few failures is not compared."""
    values: dict[str, str] = {}
    for project, *versions in (
        ("berlin", ("1.0", 100, 4), ("2.0", 100, 31), ("3.0", 40, 0)),
        ("paris", ("1.0", 100, 0), ("2.0", 100, 31)),
    ):
        values |= {of("session_starts_total", project=project): "0x20", of(TOTAL, project=project): "0x20"}
        for version, starts, failures in versions:
            labels = {"project": project, "client_version": version}
            values[of("session_starts_by_client_version_total", **labels)] = f"_x10 {starts}x10"
            if failures:
                values[of("session_init_failures_by_client_version_total", **labels)] = f"_x10 {failures}x10"
    steps = []
    for project, others in (("berlin", 4 / 140), ("paris", 0.001)):
        *_, compared = shown("sessions.json", "Client versions", project)
        found = '{client_version="2.0", order="000002.000000.000000.000000"}'
        steps.append(expected(f"round({compared}, 0.01)", "15m", {found: round(0.31 / others, 2)}))
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)


async def test_stuck_sessions_are_a_warning_under_the_condition_of_the_alert(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    values: dict[str, str] = {}
    for project, stuck in (("many", 3), ("few", 2)):
        labels = {"project": project, "session_state": "AppcInit"}
        values |= {
            of("users", project=project): "100x10",
            of("sessions_by_age", age="5m-1h", **labels): f"{stuck}x10",
            of("sessions_by_age", age="0-5m", **labels): "9x10",
        }
    many, _, _ = shown("sessions.json", "Stuck and abandoned", "many")
    none, few, _ = shown("sessions.json", "Stuck and abandoned", "few")
    steps = [expected(many, "5m", {"{}": 3}), expected(none, "5m", {}), expected(few, "5m", {"{}": 2})]
    await evaluated(tool, tmp_path, input_series=series(**values), promql_expr_test=steps)
