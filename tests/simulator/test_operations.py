"""The operations without sockets: documented examples, parameters and errors."""

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from exporter.simulator import (
    DEMO_PROJECT_ID,
    DEMO_TOKEN,
    Request,
    Response,
    SessionInfo,
    Simulator,
    SimulatorOptions,
    StaticPopulation,
    UserDetail,
)

SESSIONS_EXAMPLE: dict[str, Any] = {
    "session_info_list": [
        {
            "id": "a7db732e1ad511edaf56fa163ed8e03f",
            "session_stamp": "S-1-5-21-1908276142-124560728-768171367-1358-zeng**long@wksapp.****huawei.com-HDP-_1",
            "protocol_type": "Hdp",
            "login_user": "zeng**long@wksapp.****huawei.com",
            "session_type": "1",
            "pre_conn_time": "2022-08-13 07:00:20",
            "start_time": "2022-08-13 07:00:20",
            "end_time": "0001-01-01 00:00:00",
            "machine_sid": "S-1-5-21-1908276142-**4560728-768171367-1358",
            "session_state": "AppcInit",
            "client_mac": "3c-7c-3f-**-e4-04",
            "client_name": "proven",
            "client_ip": "10.**.**.239",
            "client_version": "22.4.2.12888",
            "client_type": "Windows 10 Enterprise",
            "agent_version": "21.12.0.11461",
            "vm_ip": "172.**.**.26",
            "failed_reason": "success",
            "failed_code": "WKS.00000000",
            "tenant_id": "26a0420e9e284569a23f1b2f7d9b5011",
        }
    ]
}
USER_EXAMPLE: dict[str, Any] = {
    "user_detail": {
        "description": "API test user.",
        "id": "8a2c3f9579d240820179d51e6caf0001",
        "user_name": "api-test",
        "user_email": "test@huawei.com",
        "object_sid": "8a2c3f9579d240820179d51e6caf0001",
        "sam_account_name": "api-test",
        "full_name": "api-test",
        "distinguished_name": "api-test",
        "account_type": 0,
        "when_created": "2021-06-03T19:43:31.000Z",
        "account_expires": 0,
        "user_expired": False,
        "locked": False,
        "enabled_change_password": True,
        "password_never_expired": False,
        "next_login_change_password": True,
        "disabled": False,
        "group_names": ["DomainUsers"],
        "total_desktops": 0,
    }
}
SESSIONS = f"/v1/{DEMO_PROJECT_ID}/session/list-sessions"
START_TIME = "2024-02-28 01:00:00"
WINDOW = "query_begin_time=2024-02-27T03:47:51.182Z&query_end_time=2024-02-28T03:47:51.182Z"


@pytest.fixture
def simulator() -> Simulator:
    """Return a simulator with the user and the session of the reference's examples."""
    user = msgspec.convert(USER_EXAMPLE["user_detail"], UserDetail)
    sessions = msgspec.convert(SESSIONS_EXAMPLE["session_info_list"], list[SessionInfo])
    population = StaticPopulation({"api-test": user}, {"api-test": sessions})
    return Simulator(SimulatorOptions(utc_offset=0), clock=lambda: 1_800_000_000.0, population=population)


def get(simulator: Simulator, target: str, method: str = "GET") -> Response:
    return simulator.handle(Request(method, target, {"X-Auth-Token": DEMO_TOKEN}))


def test_the_documented_sessions_are_returned_exactly(simulator: Simulator) -> None:
    """The reference's example is returned without additional fields."""
    response = get(simulator, f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name=api-test")
    assert json.loads(response.body) == SESSIONS_EXAMPLE
    assert response.headers["Content-Type"] == "application/json"


def test_the_documented_user_is_returned_exactly(simulator: Simulator) -> None:
    """The reference's example is returned without additional fields."""
    response = get(simulator, f"/v2/{DEMO_PROJECT_ID}/users/8a2c3f9579d240820179d51e6caf0001")
    assert json.loads(response.body) == USER_EXAMPLE


def test_a_listed_user_has_other_fields_than_its_detail(simulator: Simulator) -> None:
    """ListUsers has `account_expired`, and a string as `account_expires`."""
    user = json.loads(get(simulator, f"/v2/{DEMO_PROJECT_ID}/users").body)["users"][0]
    assert (user["account_expires"], user["account_expired"]) == ("0", False)
    assert not {"user_expired", "sam_account_name"} & user.keys()


@pytest.mark.parametrize(
    ("hours", "started"),
    [(8, "2022-08-13 15:00:20"), (0, "2022-08-13 07:00:20"), (-8, "2022-08-12 23:00:20"), (5.5, "2022-08-13 12:30:20")],
)
def test_the_times_of_a_users_sessions_are_in_the_zone_of_the_cloud(hours: float, started: str) -> None:
    """Every time is shifted, but the end of an open session is no time. ListSessions shows UTC whatever the zone."""
    (example,) = msgspec.convert(SESSIONS_EXAMPLE["session_info_list"], list[SessionInfo])
    users = {"api-test": UserDetail(id="1", user_name="api-test")}
    population = StaticPopulation(users, {"api-test": [example]})
    simulator = Simulator(SimulatorOptions(utc_offset=hours), population=population)
    by_name = get(simulator, f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name=api-test")
    (shown,) = json.loads(by_name.body)["session_info_list"]
    assert (shown["pre_conn_time"], shown["start_time"], shown["end_time"]) == (started, started, "0001-01-01 00:00:00")
    assert "last_update_status_time" not in shown
    window = "query_begin_time=2022-08-13T07:00:20.000Z&query_end_time=2022-08-13T07:00:20.999Z"
    (listed,) = json.loads(get(simulator, f"{SESSIONS}?{window}").body)["items"]
    assert (listed["start_time"], listed["end_time"]) == ("2022-08-13T07:00:20Z", "0001-01-01T00:00:00Z")


def test_a_known_user_may_have_no_sessions() -> None:
    """A user without sessions has an empty list, not a 404."""
    simulator = Simulator(population=StaticPopulation({"idle": UserDetail(id="1", user_name="idle")}))
    response = get(simulator, f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name=idle")
    assert (response.status, json.loads(response.body)) == (200, {"session_info_list": []})


ANN, ANN_B, ANN_CAPITAL, BOB = "a" * 32, "b" * 32, "c" * 32, "d" * 32


@pytest.fixture
def directory() -> Simulator:
    """Return a simulator with three users of one name: in two domains, and in another case; and one other user."""

    def user(ident: str, name: str, domain: str, **fields: Any) -> UserDetail:
        return UserDetail(id=ident, user_name=name, domain=domain, account_expires=0, user_expired=False, **fields)

    users = {
        "ann": user(ANN, "ann", "a.example", group_names=["Sales"], platform_type="AD", description="front desk"),
        "ann@b": user(ANN_B, "ann", "b.example", group_names=["Sales", "Night"], platform_type="LOCAL", disabled=True),
        "Ann": user(ANN_CAPITAL, "Ann", "c.example", active_type="ADMIN_ACTIVATE", enterprise_project_id="0"),
        "bob": user(BOB, "bob", "a.example", group_names=["Night"], platform_type="AD", disabled=False),
    }
    sessions = {
        key: [SessionInfo(id=f"of {key}", login_user=f"{user.user_name}@{user.domain}", start_time=START_TIME)]
        for key, user in users.items()
    }
    return Simulator(clock=lambda: 1_800_000_000.0, population=StaticPopulation(users, sessions))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [ANN, ANN_B, ANN_CAPITAL, BOB]),
        ("group_name=Sales", [ANN, ANN_B]),
        ("group_name=Sale", []),
        ("group_name=sales", []),
        ("group_name=", [ANN, ANN_B, ANN_CAPITAL, BOB]),
        ("domain=a.example", [ANN, BOB]),
        ("domain=example", []),
        ("platform_type=AD", [ANN, BOB]),
        ("platform_type=NIS", []),
        ("enterprise_project_id=0", [ANN_CAPITAL]),
        ("active_type=ADMIN_ACTIVATE", [ANN_CAPITAL]),
        ("disabled=true", [ANN_B]),
        ("disabled=false", [BOB]),
        ("description=desk", [ANN]),
        ("user_name=an", [ANN, ANN_B, ANN_CAPITAL]),
        ("user_name=BOB", [BOB]),
        ("user_names=ann,bo", [ANN, ANN_B, ANN_CAPITAL, BOB]),
        ("user_names=ann&user_name=bob", []),
        ("group_name=Night&platform_type=AD", [BOB]),
        ("group_name=Sales&domain=b.example&user_names=ann", [ANN_B]),
        ("group_name=Sales&limit=1&offset=1", [ANN_B]),
        ("group_name=Sales&limit=5&offset=9", []),
    ],
)
def test_list_users_combines_its_filters(directory: Simulator, query: str, found: list[str]) -> None:
    """A user passes all filters. Only names and descriptions are found by a part; the count is of all pages."""
    answer = json.loads(get(directory, f"/v2/{DEMO_PROJECT_ID}/users?{query}").body)
    assert [user["id"] for user in answer["users"]] == found
    assert answer["total_count"] == len(found) + ("offset=1" in query) + 2 * ("offset=9" in query)


def test_a_listed_user_shows_the_domain_and_the_detail_does_not(directory: Simulator) -> None:
    """ListUsers returns domain and enterprise project. Neither operation returns the platform."""
    listed = json.loads(get(directory, f"/v2/{DEMO_PROJECT_ID}/users?domain=c.example").body)["users"][0]
    detail = json.loads(get(directory, f"/v2/{DEMO_PROJECT_ID}/users/{ANN_CAPITAL}").body)["user_detail"]
    assert (listed["domain"], listed["enterprise_project_id"]) == ("c.example", "0")
    assert not {"domain", "enterprise_project_id", "platform_type"} & detail.keys()
    assert "platform_type" not in get(directory, f"/v2/{DEMO_PROJECT_ID}/users").body.decode()


@pytest.mark.parametrize("name", ["ann", "Ann", "ANN"])
def test_sessions_are_of_all_users_with_a_name(directory: Simulator, name: str) -> None:
    """The name is without a domain, and its case does not matter; `login_user` tells the users apart."""
    response = get(directory, f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name={name}")
    logins = [session["login_user"] for session in json.loads(response.body)["session_info_list"]]
    assert logins == ["ann@a.example", "ann@b.example", "Ann@c.example"]


def test_the_listing_of_sessions_is_of_everybody(directory: Simulator) -> None:
    """ListSessions shows the sessions of all domains."""
    items = json.loads(get(directory, f"{SESSIONS}?{WINDOW}&limit=100").body)["items"]
    assert {item["login_user"] for item in items} == {
        *("ann@a.example", "ann@b.example", "Ann@c.example", "bob@a.example")
    }


@pytest.mark.parametrize("name", ["ann@a.example", "an", "ann ", "zoe"])
def test_another_name_is_unknown(directory: Simulator, name: str) -> None:
    """The query takes the whole name, and no domain."""
    target = f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name={quote(name)}"
    assert get(directory, target).status == 404


def test_a_user_who_leaves_is_unknown_at_once() -> None:
    """A removed user has neither account nor sessions, and is not listed."""
    users = {"ann": UserDetail(id=ANN, user_name="ann")}
    simulator = Simulator(population=StaticPopulation(users, {"ann": [SessionInfo(id="1", start_time=START_TIME)]}))
    by_name = f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name=ann"
    targets = (f"/v2/{DEMO_PROJECT_ID}/users/{ANN}", by_name)
    assert [get(simulator, target).status for target in targets] == [200, 200]
    users.clear()
    assert [get(simulator, target).status for target in targets] == [404, 404]
    assert json.loads(get(simulator, f"/v2/{DEMO_PROJECT_ID}/users").body) == {"total_count": 0, "users": []}
    assert json.loads(get(simulator, f"{SESSIONS}?{WINDOW}").body)["count"] == 0


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", f"/v1/{DEMO_PROJECT_ID}/session/user-session-info", 400, "WKS.0001"),
        ("GET", f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name=", 400, "WKS.0001"),
        ("GET", SESSIONS, 400, "WKS.0001"),
        ("GET", f"{SESSIONS}?query_begin_time=2024-02-27T03:47:51.182Z", 400, "WKS.0001"),
        ("GET", f"{SESSIONS}?{WINDOW.replace('T', ' ')}", 400, "WKS.0001"),
        ("GET", f"{SESSIONS}?{WINDOW}&limit=0", 400, "WKS.0001"),
        ("GET", f"{SESSIONS}?{WINDOW}&limit=101", 400, "WKS.0001"),
        ("GET", f"{SESSIONS}?{WINDOW}&offset=-1", 400, "WKS.0001"),
        ("GET", f"{SESSIONS}?{WINDOW}&is_success=yes", 400, "WKS.0001"),
        ("GET", f"/v1/{DEMO_PROJECT_ID}/app-servers?limit=101", 400, "WKS.0001"),
        ("GET", f"/v1/{DEMO_PROJECT_ID}/app-servers?maintain_status=1", 400, "WKS.0001"),
        ("GET", f"/v1/{DEMO_PROJECT_ID}/app-server-groups?limit=0", 400, "WKS.0001"),
        ("GET", f"/v1/{DEMO_PROJECT_ID}/app-server-groups?is_secondary_server_group=1", 400, "WKS.0001"),
        ("GET", f"/v2/{DEMO_PROJECT_ID}/users?limit=all", 400, "WKS.0001"),
        ("GET", f"/v2/{DEMO_PROJECT_ID}/users?disabled=no", 400, "WKS.0001"),
        ("POST", f"/v2/{DEMO_PROJECT_ID}/users", 405, "WKS.00010405"),
        ("GET", f"/v2/{DEMO_PROJECT_ID}/users/", 404, "APIG.0101"),
        ("GET", f"/v3/{DEMO_PROJECT_ID}/users", 404, "APIG.0101"),
        ("GET", f"/v2/{'f' * 32}/users", 403, "APIG.0302"),
    ],
)
def test_an_invalid_request_is_rejected(simulator: Simulator, method: str, target: str, status: int, code: str) -> None:
    """Each invalid request has a status and an error code."""
    response = get(simulator, target, method)
    body = json.loads(response.body)
    assert (response.status, body["error_code"]) == (status, code)
    assert body["error_msg"]


def test_the_documented_times_are_a_valid_window(simulator: Simulator) -> None:
    """The times of the reference's example are accepted, and no session started between them."""
    assert json.loads(get(simulator, f"{SESSIONS}?{WINDOW}").body) == {"count": 0, "items": []}


def test_every_request_is_counted(simulator: Simulator) -> None:
    """Requests are counted by operation and status, including rejected ones and unknown paths."""
    get(simulator, f"/v2/{DEMO_PROJECT_ID}/users")
    get(simulator, f"/v2/{DEMO_PROJECT_ID}/users/unknown")
    get(simulator, "/nowhere")
    assert simulator.calls.counts == {("ListUsers", 200): 1, ("ListUserDetail", 404): 1, ("unknown", 404): 1}
    assert simulator.calls.total("ListUsers") == 1
    assert [call.at for call in simulator.calls.log if call.operation == "ListUserDetail"] == [1_800_000_000.0]
