"""From the cloud's answers to the exposition."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import openmetrics
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry
from support.fleets import answered, fleet_of, watching

from exporter import config
from exporter.cloud.answers import session_list, user_detail
from exporter.cloud.models import Session, UserDetail
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import AGES, DOCUMENTED_STATES, SERVER_STATUSES, Fleet, FreshUser, ServerCounts, Tally
from exporter.fleet.counts import Attempts
from exporter.metrics.exposition import OPENMETRICS, PREFIX, TEXT, Exposition
from exporter.metrics.families import DESCRIPTIONS, render, user_lines
from exporter.metrics.labels import Labelling
from exporter.metrics.users import FLAGGED_A_PART
from exporter.polling.cycles import Cycle, Cycles
from exporter.polling.source import Source
from exporter.status import DiscoveryStatus, OperationStatus, ProcessStatus, ProjectStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.core import Metric

GOLDEN = Path(__file__).parent / "golden"
NOW = 1_767_225_600.0
SESSIONS, DETAIL = "ListSessionByUserName", "ListUserDetail"
PROCESS = ProcessStatus("1.2.3", "abc", "3.11.7", loaded_at=NOW)


def status_of(fleet: Fleet, **changes: Any) -> ProjectStatus:
    counts = fleet.counts()
    fresh = {SESSIONS: counts.queried, DETAIL: counts.accounts}
    status = ProjectStatus(
        project="berlin",
        taken_at=NOW,
        counts=counts,
        users=fleet.users(),
        attempts=fleet.attempts,
        account_locks=fleet.account_locks,
        operations={name: OperationStatus(Cycles(), 60.0, 2, n) for name, n in fresh.items()},
        source=Source("per_user", "few users"),
        up=True,
        ready=True,
        paused=False,
        rate_limit=180.0,
        telemetry=Telemetry(),
        credentials_expire_at=None,
        ages=counts.ages(NOW),
    )
    return replace(status, **changes)


def exposition(*statuses: ProjectStatus, **settings: Any) -> str:
    return published(*statuses, **settings).get(TEXT).body.decode()


def published(*statuses: ProjectStatus, **settings: Any) -> Exposition:
    exposition = Exposition(CollectorRegistry())
    exposition.publish(render(statuses, Labelling.of(config.Metrics(**settings)), PROCESS, user_lines()))
    return exposition


def samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    """A metric's samples by their label values, in the order of the label names, without the project."""
    return {
        tuple(value for label, value in sorted(sample.labels.items()) if label != "project"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == PREFIX + name
    }


def fleet_with(*users: tuple[str, tuple[Session, ...] | None, UserDetail | None]) -> Fleet:
    """Users by name, sessions and account, each answered at time 1; None is what the cloud does not know."""
    fleet = Fleet(watching((name, f"id-{name}") for name, _, _ in users))
    for member, (_, sessions, account) in zip(fleet.members, users, strict=True):
        answered(fleet, member, sessions, at=1)
        fleet.account_answered(member, account, at=1)
    return fleet


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_the_cloud_s_answers_become_the_expected_exposition(case: str) -> None:
    answers = {path.name: path.read_bytes() for path in sorted((GOLDEN / case).glob("*.json"))}
    names = sorted({name.partition(".")[0] for name in answers})
    users = (
        (
            name,
            tuple(each.session for each in session_list(answers[f"{name}.{SESSIONS}.json"]).sessions),
            user_detail(answers[f"{name}.{DETAIL}.json"]),
        )
        for name in names
    )
    further: dict[str, Any] = {}
    if case == "everything":
        further = {
            "discovery": DiscoveryStatus(2, successful=True),
            "labels": {"site": "munich", "env": 'a"b'},
            "group_names": {"group-1": "Finance"},
            "servers": ServerCounts(
                {("group-1", status): int(status == "REGISTERED") for status in SERVER_STATUSES}, {"group-1": 1}, {}
            ),
        }
    fleet = fleet_with(*users)
    if case == "everything":
        failed = Session.of("s9", "InitFail", "24.9.2.1", failed_code="WKS.1", app_server_group_id="group-1")
        answered(fleet, fleet.members[2], [failed], at=2)
    told = exposition(status_of(fleet, **further))
    assert told == (GOLDEN / case / "expected.prom").read_text()


def test_what_the_cloud_does_not_say_of_an_account_is_not_reported() -> None:
    text = exposition(status_of(fleet_with(("a", (), UserDetail(locked=True, disabled=None)))))
    assert samples(text, "user_locked") == {("a",): 1}
    assert samples(text, "user_disabled") == {}


def test_without_a_fresh_answer_sessions_and_users_are_absent_and_never_zero() -> None:
    text = exposition(status_of(fleet_of("a"), up=False))
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    absent = (f"{PREFIX}sessions", f"{PREFIX}user")
    assert not [name for name in names if name.startswith(absent)]
    assert samples(text, "up") == {(): 0}
    assert samples(text, "session_init_failures_total") == {(): 0}
    assert samples(text, "poll_coverage_ratio") == {(SESSIONS,): 0, (DETAIL,): 0}


def test_the_documented_states_are_there_as_soon_as_one_user_is_known() -> None:
    text = exposition(status_of(fleet_with(("a", (), None))))
    assert samples(text, "sessions") == {
        (state,): 0 for state in ("Active", "Disconnected", "AppcInit", "SignedOut", "InitFail")
    }
    assert samples(text, "sessions_by_version") == {}


def test_the_rarest_versions_are_folded_into_other_and_the_states_stay() -> None:
    versions = ["1"] * 3 + ["2"] * 2 + ["3", "4"]
    sessions = tuple(Session.of(session_state="Active", client_version=v, agent_version=v) for v in versions)
    text = exposition(status_of(fleet_with(("a", sessions, None))), max_label_values=2)
    assert samples(text, "sessions_by_version") == {
        # agent_version, client_version, session_state
        ("1", "1", "Active"): 3,
        ("2", "2", "Active"): 2,
        ("other", "other", "Active"): 2,
    }
    assert samples(text, "sessions")["Active",] == 7


def test_a_flood_of_new_states_is_bounded() -> None:
    sessions = tuple(Session.of(session_state=f"New{n:03}") for n in range(100))
    text = exposition(status_of(fleet_with(("a", sessions, None))))
    found = samples(text, "sessions")
    assert len(found) == 5 + 20 + 1
    assert sum(found.values()) == sum(samples(text, "user_sessions").values()) == 100


def test_it_is_reported_how_many_values_of_a_label_are_not_distinguished() -> None:
    sessions = [Session.of(session_state=f"New{n}", client_version=str(n), agent_version="1") for n in range(25)]
    failed = tuple(Session.of(id=str(n), session_state="InitFail", failed_code=str(n)) for n in range(7))
    fleet = fleet_with(("a", (), None))
    answered(fleet, fleet.members[0], (*sessions, *failed), at=2)
    assert samples(exposition(status_of(fleet), max_label_values=5), "label_values_folded") == {
        ("session_state",): 5,
        ("client_version",): 21,  # with the failed ones' unknown
        ("agent_version",): 0,
        ("client_type",): 0,
        ("failed_code",): 2,
        ("app_server_group_id",): 0,
        ("app_server_group_name",): 0,
        ("status",): 0,
    }


def test_folding_ten_thousand_versions_goes_in_short_steps() -> None:
    sessions = tuple(
        Session.of(session_state="Active", client_version=str(n), agent_version="1") for n in range(10_000)
    )
    few, many = (status_of(fleet_with(("a", some, None))) for some in (sessions[:1], sessions))
    few_parts, many_parts = (
        list(render([each], Labelling.of(config.Metrics()), PROCESS, user_lines())) for each in (few, many)
    )
    assert len(many_parts) - len(few_parts) >= 5
    assert max(part.lines.count("\n") for part in many_parts) <= 1000


def test_a_counter_s_values_keep_their_names_when_others_become_commoner() -> None:
    fleet = fleet_with(("a", (), None))
    (a,) = fleet.members
    seen = []
    for at, code in enumerate(["first", "second", "third", "third", "third"], start=2):
        answered(fleet, a, (Session.of(id=str(at), session_state="InitFail", failed_code=code),), at=at)
        seen.append(samples(exposition(status_of(fleet), max_label_values=2), "session_init_failures_by_code_total"))
    assert seen[-1] == {("first",): 1, ("second",): 1, ("other",): 3}
    for earlier, later in pairwise(seen):
        assert all(later[value] >= count for value, count in earlier.items())


def test_users_with_failures_are_reported_from_the_first_one_on_while_they_are_counted() -> None:
    """Also where nothing is fresh, since a counter that comes back would seem to have grown."""
    fleet = fleet_with(("anna", (), UserDetail()), ("bert", (), UserDetail()))
    answered(fleet, fleet.members[0], (Session.of(id="1", session_state="InitFail"),), at=2)
    answered(fleet, fleet.members[0], (), at=3)
    assert list(fleet.expire(queried_since=9, accounts_since=9, scanned_since=9))
    for per_user, expected in {"all": {("anna",): 1}, "flagged": {("anna",): 1}, "none": {}}.items():
        text = exposition(status_of(fleet), per_user=per_user)
        assert samples(text, "session_init_failures_by_user_total") == expected


@pytest.mark.parametrize(
    ("per_user", "expected"),
    [("all", {"bad", "failing", "fine", "leaving"}), ("flagged", {"bad", "failing", "leaving"})],
)
def test_per_user_metrics_are_for_all_or_for_those_with_something_to_report(per_user: str, expected: set[str]) -> None:
    soon, late = int(NOW + 86400) * 1000, int(NOW + 365 * 86400) * 1000
    fleet = fleet_with(
        ("fine", (Session.of(session_state="Active"),), UserDetail(locked=False, account_expires=late)),
        ("bad", (), UserDetail(locked=True)),
        ("failing", (Session.of(session_state="InitFail"),), UserDetail(locked=False)),
        ("leaving", (), UserDetail(locked=False, account_expires=soon)),
    )
    text = exposition(status_of(fleet), per_user=per_user)
    assert {name for (name,) in samples(text, "user_locked")} == expected
    assert {name for _, name in samples(text, "user_sessions")} == expected & {"fine", "failing"}


def test_a_user_that_the_cloud_does_not_know_is_named_where_users_are() -> None:
    fleet = fleet_with(("known", (), UserDetail()), ("misspelt", None, None))
    assert samples(exposition(status_of(fleet)), "user_missing") == {("known",): 0, ("misspelt",): 1}
    assert samples(exposition(status_of(fleet), per_user="flagged"), "user_missing") == {("misspelt",): 1}
    assert samples(exposition(status_of(fleet), per_user="none"), "user_missing") == {}


def test_a_user_whose_label_another_has_is_reported_once() -> None:
    """Prometheus would refuse the whole scrape."""
    fleet = Fleet(watching([("anna", None), ("Anna", None)]))
    for member in fleet.members:
        answered(fleet, member, (Session.of(session_state="Active"),), at=1)
        fleet.found(member, "the-id")
    text = exposition(status_of(fleet), user_label="id")
    assert text.count('user_name="the-id"') == 3
    assert samples(text, "user_missing") == {("the-id",): 0}
    assert samples(text, "user_sessions") == {("Active", "the-id"): 1}
    assert samples(text, "user_client_info") == {("unknown", "unknown", "the-id"): 1}


def test_users_without_anything_to_report_are_passed_over_some_at_a_time() -> None:
    flagged = Labelling.of(config.Metrics(per_user="flagged"))
    few = list(render([status_of(Fleet([]))], flagged, PROCESS, user_lines()))
    unknown = status_of(fleet_of(*(f"user{n}" for n in range(3 * FLAGGED_A_PART))))
    parts = list(render([unknown], flagged, PROCESS, user_lines()))
    assert len(parts) - len(few) >= 3


def test_where_no_user_has_metrics_of_its_own_none_is_looked_at() -> None:
    class Untouchable(Sequence[FreshUser]):
        def __getitem__(self, _: object) -> Any:
            raise AssertionError

        def __len__(self) -> int:
            return 100_000

    text = exposition(status_of(Fleet([]), users=Untouchable()), per_user="none")
    assert samples(text, "users") == {(): 0}


def test_nobody_to_watch_is_known_to_have_nothing() -> None:
    text = exposition(status_of(Fleet([])))
    assert samples(text, "users") == samples(text, "users_locked") == {(): 0}
    assert set(samples(text, "sessions").values()) == {0}
    assert samples(text, "poll_coverage_ratio") == {(SESSIONS,): 1, (DETAIL,): 1}


def test_users_are_counted_as_soon_as_either_kind_of_answer_is_fresh() -> None:
    fleet = fleet_of("a")
    fleet.account_answered(fleet.members[0], UserDetail(), at=1)
    text = exposition(status_of(fleet))
    assert samples(text, "users") == {(): 1}
    assert samples(text, "sessions") == {}


def test_no_user_is_named_where_per_user_metrics_are_off_or_hashed() -> None:
    fleet = fleet_with(("anna", (Session.of(session_state="Active"),), UserDetail(locked=True)))
    assert "anna" not in exposition(status_of(fleet), per_user="none")
    hashed = exposition(status_of(fleet), user_label="hash", hash_key="k")
    assert "anna" not in hashed
    ((label,),) = samples(hashed, "user_locked")
    assert len(label) == 16
    assert samples(exposition(status_of(fleet), user_label="hash", hash_key="other"), "user_locked") != {(label,): 1}


def test_users_may_be_called_by_their_id_as_soon_as_it_is_known() -> None:
    fleet = Fleet(watching([("anna", None)]))
    answered(fleet, fleet.members[0], (Session.of(session_state="Active"),), at=1)
    assert samples(exposition(status_of(fleet), user_label="id"), "user_sessions") == {}
    fleet.found(fleet.members[0], "id-anna")
    assert samples(exposition(status_of(fleet), user_label="id"), "user_sessions") == {("Active", "id-anna"): 1}


def test_two_projects_share_each_family_and_never_a_sample() -> None:
    one, two = status_of(fleet_with(("a", (), None))), status_of(fleet_with(("a", (), None)), project="paris")
    text = exposition(one, two)
    assert text.count(f"# TYPE {PREFIX}users gauge") == 1
    assert f'{PREFIX}users{{project="berlin"}} 1.0' in text
    assert f'{PREFIX}users{{project="paris"}} 1.0' in text


def test_how_the_polling_goes_is_reported_by_operation() -> None:
    telemetry = Telemetry(Counter({(SESSIONS, "200"): 7, (SESSIONS, "timeout"): 1}), clock_skew=-2.5)
    for seconds in (0.01, 0.03, 100.0):
        telemetry.answered(SESSIONS, seconds)
    cycles = Cycles(Cycle(1, NOW), Cycle(1, NOW, answered=1), last_duration=12.5, last_success=NOW)
    text = exposition(
        status_of(
            fleet_of("a"),
            operations={SESSIONS: OperationStatus(cycles, 66.7, requests=1, fresh=1)},
            rate_limit=90.0,
            telemetry=telemetry,
            credentials_expire_at=NOW + 3600,
        )
    )
    assert samples(text, "poll_coverage_ratio") == {(SESSIONS,): 1}
    assert samples(text, "poll_last_success_timestamp_seconds") == {(SESSIONS,): NOW}
    assert samples(text, "poll_duration_seconds") == {(SESSIONS,): 12.5}
    assert samples(text, "poll_interval_seconds") == {(SESSIONS,): 66.7}
    assert samples(text, "poll_rate_limit") == {(): 90}
    assert samples(text, "api_requests_total") == {("200", SESSIONS): 7, ("timeout", SESSIONS): 1}
    assert samples(text, "api_request_duration_seconds_count") == {(SESSIONS,): 3}
    assert samples(text, "api_request_duration_seconds_bucket")["0.05", SESSIONS] == 2
    assert samples(text, "credentials_expiry_timestamp_seconds") == {(): NOW + 3600}
    assert samples(text, "clock_skew_seconds") == {(): -2.5}


def test_the_exporter_shows_its_version() -> None:
    assert samples(exposition(), "exporter_build_info") == {("3.11.7", "abc", "1.2.3"): 1}
    assert samples(exposition(), "exporter_config_last_reload_successful") == {(): 1}


def test_every_metric_has_a_help_text_that_is_a_sentence() -> None:
    assert all(description.help.endswith(".") for description in DESCRIPTIONS)
    assert len({description.name for description in DESCRIPTIONS}) == len(DESCRIPTIONS)


def test_help_says_that_numbers_of_the_cloud_are_as_of_the_last_poll() -> None:
    """Numbers of the process and of the polling are of this moment."""
    moment = {d.name for d in DESCRIPTIONS if "as of the last poll" not in d.help}
    assert {name for name in moment if not name.startswith(("api_", "poll_", "exporter_"))} == {
        "up",
        "credentials_expiry_timestamp_seconds",
    }
    assert {name for name in moment if name.startswith(("api_", "poll_", "exporter_"))} == {
        d.name for d in DESCRIPTIONS if d.name.startswith(("api_", "poll_", "exporter_"))
    }


def test_a_project_s_labels_follow_project_on_every_series() -> None:
    """In every family, also in histograms, counters and metrics of single users."""
    sessions = (Session.of(id="1", session_state="InitFail", failed_code="1"),)
    account = UserDetail(
        locked=False,
        user_expired=False,
        disabled=False,
        account_expires=int(NOW) * 1000,
        next_login_change_password=False,
        password_never_expired=False,
        total_desktops=1,
    )
    fleet = fleet_with(("anna", (), account))
    answered(fleet, fleet.members[0], sessions, at=2)
    telemetry = Telemetry(Counter({(SESSIONS, "200"): 1}), clock_skew=1.0)
    telemetry.answered(SESSIONS, 0.1)
    cycles = Cycles(last=Cycle(1, NOW, answered=1), last_duration=1.0, last_success=NOW)
    labelled = status_of(
        fleet,
        telemetry=telemetry,
        credentials_expire_at=NOW,
        discovery=DiscoveryStatus(1, successful=False),
        operations={SESSIONS: OperationStatus(cycles, 60.0, 1, 1)},
        labels={"site": 'a"\\b\n', "_x": "ü"},
        group_names={"g": "Finance"},
        servers=ServerCounts({("g", "NONE"): 1}, {"g": 1}, {"g": 1}),
    )
    text = exposition(labelled, status_of(Fleet([]), project="paris"))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    of_berlin = [line for line in lines if 'project="berlin"' in line]
    assert all('project="berlin",_x="ü",site="a\\"\\\\b\\n"' in line for line in of_berlin)
    assert not any("site=" in line for line in lines if line not in of_berlin)
    names = {line.partition("{")[0].removeprefix(PREFIX).removesuffix("_bucket") for line in of_berlin}
    assert {d.name for d in DESCRIPTIONS if not d.name.startswith("exporter_")} <= names


def test_promtool_accepts_projects_with_different_labels(tool: Callable[[str], str]) -> None:
    telemetry = Telemetry(Counter({(SESSIONS, "200"): 1}))
    telemetry.answered(SESSIONS, 0.1)
    labels: list[dict[str, str]] = [{"site": "munich", "env": "a"}, {"site": "rome"}, {}]
    fleets = [fleet_with(("anna", (Session.of(session_state="Active"),), UserDetail(locked=True))) for _ in labels]
    projects = [
        status_of(
            fleet,
            project=str(number),
            labels=each,
            telemetry=telemetry,
            group_names={"g": "Finance"},
            servers=ServerCounts({("g", "REGISTERED"): 1}, {"g": 1}, {"g": 1}),
        )
        for number, (fleet, each) in enumerate(zip(fleets, labels, strict=True))
    ]
    text = exposition(*projects)
    command = [tool("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sessions_are_counted_by_session_type_and_client_type() -> None:
    pairs = [("1", "Windows"), ("1", "Windows"), ("2", "macOS"), ("3", None), (None, "macOS")]
    sessions = tuple(
        Session.of(session_state="Active", session_type=session_type, client_type=client_type, agent_version=str(n))
        for n, (session_type, client_type) in enumerate(pairs)
    )
    # client_type, session_state, session_type
    assert samples(exposition(status_of(fleet_with(("a", sessions, None)))), "sessions_by_client") == {
        ("Windows", "Active", "desktop"): 2,
        ("macOS", "Active", "application"): 1,
        ("unknown", "Active", "unknown"): 1,
        ("macOS", "Active", "unknown"): 1,
    }


def test_all_ages_of_the_documented_states_are_there() -> None:
    ages = {("Active", "5m-1h"): 2, ("Odd", "72h+"): 1, ("Odd", "unknown"): 0}
    found = samples(exposition(status_of(fleet_with(("a", (), None)), ages=ages)), "sessions_by_age")
    documented = {(age, state): 0 for age in (*AGES, "unknown") for state in DOCUMENTED_STATES}
    assert found == documented | {("5m-1h", "Active"): 2, ("72h+", "Odd"): 1}


def test_ages_are_absent_while_sessions_are_unknown() -> None:
    assert samples(exposition(status_of(fleet_of("a"))), "sessions_by_age") == {}


def test_undocumented_states_are_folded_alike_by_state_and_by_age() -> None:
    sessions = tuple(Session.of(session_state=f"New{n:02}") for n in range(30))
    text = exposition(status_of(fleet_with(("a", sessions, None))))
    by_state = {state: count for (state,), count in samples(text, "sessions").items()}
    by_age: Counter[str] = Counter()
    for (_, state), count in samples(text, "sessions_by_age").items():
        by_age[state] += int(count)
    assert by_age == by_state
    assert by_state["other"] == 10


def test_counters_of_session_starts_exist_from_the_beginning() -> None:
    text = exposition(status_of(fleet_of("a")))
    for name in ("starts_total", "init_failures_total", "disconnects_total", "reconnects_total"):
        assert samples(text, f"session_{name}") == {(): 0}
    assert samples(text, "session_init_duration_seconds_count") == {(): 0}
    assert samples(text, "session_init_duration_seconds_sum") == {(): 0}


def test_starts_and_failures_are_counted_by_client_version_and_server_group() -> None:
    attempts = Attempts(starts=Tally(), failures=Tally())
    for version, group in (("1", "g"), ("2", "g"), ("2", None)):
        attempts.starts.add(Session.of(client_version=version, app_server_group_id=group))
    attempts.failures.add(Session.of(client_version="2"))
    text = exposition(status_of(fleet_of("a"), attempts=attempts))
    assert samples(text, "session_starts_total") == {(): 3}
    assert samples(text, "session_starts_by_client_version_total") == {("1",): 1, ("2",): 2}
    assert samples(text, "session_starts_by_server_group_total") == {("g",): 2, ("unknown",): 1}
    assert samples(text, "session_init_failures_by_client_version_total") == {("2",): 1}


def test_the_time_to_active_is_a_histogram_with_its_own_buckets() -> None:
    attempts = Attempts(disconnects=3, reconnects=2)
    for seconds in (1.0, 15.0, 3000.0):
        attempts.init_durations.observe(seconds)
    text = exposition(status_of(fleet_of("a"), attempts=attempts))
    found = {bound: count for (bound,), count in samples(text, "session_init_duration_seconds_bucket").items()}
    bounds = ("1", "2", "5", "10", "20", "30", "60", "120", "300", "600")
    assert found == dict(zip([*(f"{bound}.0" for bound in bounds), "+Inf"], [1] * 4 + [2] * 6 + [3], strict=True))
    assert samples(text, "session_init_duration_seconds_sum") == {(): 3016}
    assert samples(text, "session_disconnects_total") == {(): 3}
    assert samples(text, "session_reconnects_total") == {(): 2}


def test_servers_are_counted_by_group_and_status_while_they_are_known() -> None:
    servers = ServerCounts(
        {("g", status): 0 for status in SERVER_STATUSES} | {("g", "REGISTERED"): 2}, {"g": 5}, {"g": 8}
    )
    text = exposition(status_of(Fleet([]), servers=servers, group_names={"g": "Finance"}))
    assert samples(text, "app_servers") == {("g", s): 2 if s == "REGISTERED" else 0 for s in SERVER_STATUSES}
    assert samples(text, "app_server_sessions") == {("g",): 5}
    assert samples(text, "app_server_session_capacity") == {("g",): 8}
    assert samples(text, "app_server_group_info") == {("g", "Finance"): 1}
    text = exposition(status_of(Fleet([]), servers=None, group_names={"g": "Finance"}))
    assert samples(text, "app_servers") == samples(text, "app_server_sessions") == {}
    assert samples(text, "app_server_group_info") == {("g", "Finance"): 1}


def test_a_flood_of_server_states_and_groups_is_bounded() -> None:
    servers = {(f"g{n}", f"S{n:03}"): 1 for n in range(50)}
    text = exposition(status_of(Fleet([]), servers=ServerCounts(servers, {}, {})), max_label_values=3)
    found = samples(text, "app_servers")
    assert len({group for group, _ in found}) == 3 + 1
    assert len({status for _, status in found}) == 20 + 1
    assert sum(found.values()) == 50


def test_names_of_groups_beyond_the_limit_are_left_out() -> None:
    """Combined, they would be the same series twice, or have a value other than 1."""
    names = {f"g{n}": f"Group {9 - n}" for n in range(5)}
    text = exposition(status_of(Fleet([]), group_names=names), max_label_values=2)
    assert samples(text, "app_server_group_info") == {("g0", "Group 9"): 1, ("g1", "Group 8"): 1}
    assert samples(text, "label_values_folded")["app_server_group_id",] == 3


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("users_password_change_due", "next_login_change_password", True),
        ("users_password_never_expires", "password_never_expired", True),
        ("users_without_desktop", "total_desktops", 0),
    ],
)
def test_a_property_that_no_account_reports_is_absent(name: str, field: str, value: object) -> None:
    silent = ("a", (), UserDetail(locked=True))
    assert samples(exposition(status_of(fleet_with(silent))), name) == {}
    fleet = fleet_with(silent, ("b", (), UserDetail(**{field: value})))  # type: ignore[arg-type] # any of its fields
    assert samples(exposition(status_of(fleet)), name) == {(): 1}


def test_clients_of_a_user_are_named_once_each() -> None:
    clients = [("1", "Windows"), ("1", "Windows"), ("2", "Windows"), (None, None)]
    sessions = tuple(Session.of(client_version=version, client_type=kind) for version, kind in clients)
    fleet = fleet_with(("anna", sessions, None), ("bert", (), None))
    # client_type, client_version, user_name
    assert samples(exposition(status_of(fleet)), "user_client_info") == {
        ("Windows", "1", "anna"): 1,
        ("Windows", "2", "anna"): 1,
        ("unknown", "unknown", "anna"): 1,
    }


def test_rare_clients_of_a_user_are_one_series_of_value_one() -> None:
    sessions = tuple(Session.of(client_version=version, client_type="Windows") for version in "112345")
    text = exposition(status_of(fleet_with(("anna", sessions, None))), max_label_values=1)
    assert samples(text, "user_client_info") == {("Windows", "1", "anna"): 1, ("Windows", "other", "anna"): 1}


def test_coverage_is_reported_for_operations_about_users_only() -> None:
    operations = {
        name: OperationStatus(Cycles(), 60.0, 1, fresh) for name, fresh in ((SESSIONS, 1), ("ListServers", None))
    }
    text = exposition(status_of(fleet_of("a"), operations=operations))
    assert samples(text, "poll_coverage_ratio") == {(SESSIONS,): 1}
    assert samples(text, "poll_interval_seconds") == {(SESSIONS,): 60, ("ListServers",): 60}


@pytest.mark.parametrize("successful", [False, True])
def test_discovery_is_reported_where_a_project_has_it(successful: bool) -> None:
    text = exposition(status_of(Fleet([]), discovery=DiscoveryStatus(7, successful)))
    assert samples(text, "users_discovered") == {(): 7}
    assert samples(text, "users_discovery_successful") == {(): int(successful)}
    text = exposition(status_of(Fleet([])))
    assert samples(text, "users_discovered") == samples(text, "users_discovery_successful") == {}


def test_dropped_log_lines_are_counted() -> None:
    assert samples(exposition(), "exporter_log_lines_dropped_total") == {(): 0}


odd_text = st.none() | st.text(max_size=200)
odd_sessions = st.lists(
    st.builds(
        Session.of,
        id=odd_text,
        session_state=odd_text,
        client_version=odd_text,
        agent_version=odd_text,
        session_type=st.sampled_from(["1", "2", "", "other", None]),
        client_type=odd_text,
    ),
    max_size=6,
)


@given(odd_sessions, st.integers(1, 5))
def test_versions_always_sum_to_sessions_and_whatever_the_cloud_sends_can_be_parsed(
    found: list[Session], most: int
) -> None:
    text = exposition(status_of(fleet_with(("a", tuple(found), None))), max_label_values=most)
    by_state: Counter[str] = Counter()
    for (_, _, state), count in samples(text, "sessions_by_version").items():
        by_state[state] += int(count)
    assert by_state == {state: count for (state,), count in samples(text, "sessions").items() if count}
    assert by_state.total() == len(found)


class Parsed(Collector):
    """Metrics as the library's parser of OpenMetrics reads them."""

    def __init__(self, text: str) -> None:
        self._metrics = list(parse_openmetrics(text))  # type: ignore[no-untyped-call] # the library's lack

    def collect(self) -> list[Metric]:
        return self._metrics


@given(odd_sessions, st.lists(st.floats(0, 1e300) | st.integers(0, 2**53), max_size=5), st.text(min_size=1))
def test_the_library_writes_the_same_bytes(found: list[Session], seconds: list[float], project: str) -> None:
    """Whatever is in a label or a value, in both formats."""
    telemetry = Telemetry()
    for each in seconds:
        telemetry.answered(SESSIONS, each)
        telemetry.attempted(SESSIONS, str(each))
    status = status_of(
        fleet_with(("a", tuple(found), UserDetail(account_expires=int(sum(seconds) % 2**50)))),
        project=project,
        telemetry=telemetry,
        credentials_expire_at=sum(seconds),
    )
    ours = published(status)
    read = Parsed(ours.get(OPENMETRICS).body.decode())
    assert ours.get(TEXT).body == generate_latest(read)
    assert ours.get(OPENMETRICS).body == openmetrics.exposition.generate_latest(read, version="1.0.0")  # type: ignore[no-untyped-call] # the library's lack
