"""The official SDK accepts the simulator as the cloud."""

import asyncio
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from huaweicloudsdkcore.auth.internal import MetadataAccessor
from huaweicloudsdkcore.auth.provider import (
    CredentialProviderChain,
    EnvCredentialProvider,
    MetadataCredentialProvider,
    OidcStsCredentialProvider,
    PodIdentityCredentialProvider,
    ProfileCredentialProvider,
)
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ServerResponseException
from huaweicloudsdkworkspace.v2 import ListUserDetailRequest, ListUsersRequest, WorkspaceClient
from huaweicloudsdkworkspaceapp.v1 import (
    ListServerGroupsRequest,
    ListServersRequest,
    ListSessionByUserNameRequest,
    ListSessionsRequest,
)
from msgspec import UNSET

from exporter.simulator import (
    DEMO_AGENCY_URN,
    DEMO_ID_TOKEN,
    DEMO_IDP_ID,
    DEMO_POD_TOKEN,
    DEMO_PROJECT_ID,
    DEMO_PROVIDER_URN,
    PERSONAL_MARKS,
    Request,
    SessionInfo,
    Simulator,
    SimulatorOptions,
    StaticPopulation,
    UserDetail,
    parse_faults,
)
from exporter.simulator.operations import DETAIL_ONLY
from exporter.simulator.schema import OPEN_END, AppServer

Connect = Callable[..., Any]
TIMES = {"pre_conn_time", "start_time", "end_time", "last_update_status_time"}
FAILURE = {"failed_code", "failed_reason"}
TIMES_AS_TEXT = pytest.mark.filterwarnings("ignore:Unable to convert string to datetime:ImportWarning")
"""The SDK converts the times of ListSessions only if python-dateutil is installed."""

SECURITY_KEY = "/openstack/latest/securitykey"
ODD_NAMES = ["Jörg Müller", "a+b", "100%", "~tilde", "a&b=c", "x/y?z", "日本", "a%20b"]


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def eight_hours_later(text: str) -> str:
    return text if text == OPEN_END else str(datetime.fromisoformat(text) + timedelta(hours=8))


def same(record: Any, truth: msgspec.Struct, *, but: AbstractSet[str] = frozenset()) -> None:
    """Compare every field that both have. The SDK shows an absent field as None."""
    for name in set(record.attribute_map) & set(truth.__struct_fields__) - set(but):
        expected = getattr(truth, name)
        assert getattr(record, name) == (None if expected is UNSET else expected), name


async def test_every_field_of_every_session_reaches_the_sdk(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """ListSessionByUserName returns the population's sessions field by field, in all five states and China's time."""
    simulator = Simulator(clock=clock)
    async with simulator.serve() as url:
        sdk = connect_sdk(url)
        states = set()
        for name in simulator.population.names():
            request = ListSessionByUserNameRequest(user_name=name)
            answer = await asyncio.to_thread(sdk.sessions.list_session_by_user_name, request)
            truth = simulator.population.sessions_of(name, clock())
            assert len(answer.session_info_list) == len(truth)
            for shown, session in zip(answer.session_info_list, truth, strict=True):
                same(shown, session, but=TIMES)
                for field in TIMES:
                    assert getattr(shown, field) == eight_hours_later(getattr(session, field))
                states.add(shown.session_state)
    assert states == {"AppcInit", "Active", "Disconnected", "SignedOut", "InitFail"}


async def test_every_field_of_every_user_reaches_the_sdk(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """ListUserDetail returns the population's users field by field."""
    simulator = Simulator(clock=clock)
    async with simulator.serve() as url:
        sdk = connect_sdk(url)
        for user in simulator.users():
            answer = await asyncio.to_thread(sdk.users.list_user_detail, ListUserDetailRequest(user_id=user.id))
            same(answer.user_detail, user)
            assert answer.raw_content.count(b'"enabled_change_password":true') == 1


async def test_list_users_is_paged_and_formatted_differently(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """The pages of ListUsers contain each user once. Expiry has another name and type than in UserDetail."""
    simulator = Simulator(clock=clock)
    async with simulator.serve() as url:
        list_users = connect_sdk(url).users.list_users
        pages = [
            await asyncio.to_thread(list_users, ListUsersRequest(limit="20", offset=str(offset)))
            for offset in (0, 20, 40)
        ]
        whole = await asyncio.to_thread(list_users, ListUsersRequest())
    assert [page.total_count for page in (*pages, whole)] == [50] * 4
    assert [len(page.users) for page in (*pages, whole)] == [20, 20, 10, 50]
    shown = list(chain.from_iterable(page.users for page in pages))
    assert shown == whole.users
    for user, truth in zip(shown, simulator.users(), strict=True):
        same(user, truth, but={"account_expires"})
        assert user.domain == "workspace.example"
        assert (user.account_expires, user.account_expired) == (str(truth.account_expires), truth.user_expired)
    assert not DETAIL_ONLY & msgspec.json.decode(whole.raw_content)["users"][0].keys()


async def test_list_users_matches_parts_of_names(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """For one or several names, ListUsers returns every user with a name that contains one of them."""
    async with Simulator(SimulatorOptions(users=1200), clock=clock).serve() as url:
        list_users = connect_sdk(url).users.list_users
        one = await asyncio.to_thread(list_users, ListUsersRequest(user_name="user110"))
        several = await asyncio.to_thread(list_users, ListUsersRequest(user_names=["user0001", "user0002"]))
    assert [user.user_name for user in one.users] == [f"user{number}" for number in range(1100, 1110)]
    assert [user.user_name for user in several.users] == ["user0001", "user0002"]


@pytest.mark.parametrize(
    "filters",
    [
        {"group_name": "Sales"},
        {"domain": "partners.example"},
        {"platform_type": "LOCAL"},
        {"enterprise_project_id": "0"},
        {"active_type": "ADMIN_ACTIVATE"},
        {"disabled": True},
        {"disabled": False},
        {"description": "private-note"},
        {"user_name": "USER01"},
        {"user_names": ["user002", "user03"]},
        {"group_name": "Engineering", "domain": "workspace.example", "platform_type": "AD"},
        {"group_name": "Nobody"},
    ],
    ids=str,
)
async def test_list_users_filters(clock: Callable[[], float], connect_sdk: Connect, filters: dict[str, Any]) -> None:
    """Each filter of the SDK, alone and combined, selects just the users that match it."""
    simulator = Simulator(SimulatorOptions(users=100, namesakes=10), clock=clock)
    request = ListUsersRequest(**filters)
    async with simulator.serve() as url:
        answer = await asyncio.to_thread(connect_sdk(url).users.list_users, request)
    expected = [user.id for user in simulator.users() if all(applies(user, *each) for each in filters.items())]
    assert [user.id for user in answer.users] == expected
    assert answer.total_count == len(expected) < 100
    assert bool(expected) == (filters.get("group_name") != "Nobody")


def applies(user: UserDetail, name: str, value: Any) -> bool:
    """Return whether a filter of ListUsers selects a user, by the words of the reference."""
    if name in {"user_name", "user_names"}:
        return any(part.lower() in str(user.user_name) for part in ([value] if isinstance(value, str) else value))
    if name == "group_name":
        return value in (user.group_names or ())
    if name == "description":
        return value in (user.description or "")
    return bool(getattr(user, name) == value)


async def test_users_of_one_name_are_distinguished_by_their_domain(
    clock: Callable[[], float], connect_sdk: Connect
) -> None:
    """ListUsers lists both with their domains, and both are behind the sessions of the name."""
    simulator = Simulator(SimulatorOptions(users=100, namesakes=30), clock=clock)
    async with simulator.serve() as url:
        sdk = connect_sdk(url)
        users = await asyncio.to_thread(sdk.users.list_users, ListUsersRequest(user_name="user001"))
        found = set()
        for name in simulator.population.names()[:30]:
            request = ListSessionByUserNameRequest(user_name=name.upper())
            answer = await asyncio.to_thread(sdk.sessions.list_session_by_user_name, request)
            found.add(frozenset(session.login_user.partition("@")[2] for session in answer.session_info_list))
    assert [user.user_name for user in users.users] == ["user001"] * 2
    assert [user.domain for user in users.users] == ["workspace.example", "partners.example"]
    assert {"workspace.example", "partners.example"} in found


async def test_the_sdk_sees_users_join_and_leave(clock: Any, connect_sdk: Connect) -> None:
    """A user who left is in no listing and is not found; a user who joined is listed and found."""
    simulator = Simulator(SimulatorOptions(turnover=3600), clock=clock)
    async with simulator.serve() as url:
        sdk = connect_sdk(url)
        before = await asyncio.to_thread(sdk.users.list_users, ListUsersRequest())
        clock.now += 10
        after = await asyncio.to_thread(sdk.users.list_users, ListUsersRequest())
        old, new = ({user.id: user.user_name for user in page.users} for page in (before, after))
        for user_id in new.keys() - old.keys():
            detail = await asyncio.to_thread(sdk.users.list_user_detail, ListUserDetailRequest(user_id=user_id))
            assert detail.user_detail.user_name == new[user_id]
        for user_id in old.keys() - new.keys():
            with pytest.raises(ClientRequestException) as error:
                await asyncio.to_thread(sdk.users.list_user_detail, ListUserDetailRequest(user_id=user_id))
            assert error.value.status_code == 404
            request = ListSessionByUserNameRequest(user_name=old[user_id])
            with pytest.raises(ClientRequestException) as error:
                await asyncio.to_thread(sdk.sessions.list_session_by_user_name, request)
            assert error.value.status_code == 404
    assert len(old.keys() - new.keys()) == len(new.keys() - old.keys()) == 10


@TIMES_AS_TEXT
async def test_list_sessions_is_paged_newest_first(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """The pages of ListSessions contain all sessions that started in the window, newest first, with group names."""
    simulator = Simulator(clock=clock)
    window = {"query_begin_time": timestamp(clock() - 86400), "query_end_time": timestamp(clock())}
    async with simulator.serve() as url:
        list_sessions = connect_sdk(url).sessions.list_sessions
        pages = [
            await asyncio.to_thread(list_sessions, ListSessionsRequest(limit=10, offset=offset, **window))
            for offset in range(0, 50, 10)
        ]
        unlimited = await asyncio.to_thread(list_sessions, ListSessionsRequest(**window))
    items = list(chain.from_iterable(page.items for page in pages))
    assert {page.count for page in pages} == {len(items)}
    assert items[:10] == unlimited.items
    truth = {session.id: session for session in simulator.sessions()}
    assert len(items) == len(truth) == len({item.id for item in items})
    assert [item.start_time for item in items] == sorted((item.start_time for item in items), reverse=True)
    for item in items:
        same(item, truth[item.id], but=TIMES | FAILURE)
        failed = item.session_state == "InitFail"
        assert (item.failed_code.startswith("WKS."), item.failed_reason != "") == (failed, failed)
        assert item.app_server_group_name.startswith("server-group-")
    raw = msgspec.json.decode(unlimited.raw_content)["items"]
    assert not any("app_group_id" in item for item in raw)
    for item in raw:
        for field in TIMES:
            assert item[field] == str(getattr(truth[item["id"]], field)).replace(" ", "T") + "Z"


@TIMES_AS_TEXT
async def test_list_sessions_selects_by_start_and_state(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """A session that started before the window is not returned, even if it is active. Several states can be given."""
    simulator = Simulator(clock=clock)
    begin = clock() - 3600
    request = ListSessionsRequest(
        limit=100,
        query_begin_time=timestamp(begin),
        query_end_time=timestamp(clock()),
        session_state="Active,Disconnected",
    )
    async with simulator.serve() as url:
        answer = await asyncio.to_thread(connect_sdk(url).sessions.list_sessions, request)
    since = datetime.fromtimestamp(begin, UTC).strftime("%Y-%m-%d %H:%M:%S")
    here = [session for session in simulator.sessions() if session.session_state in {"Active", "Disconnected"}]
    recent = {session.id for session in here if str(session.start_time) >= since}
    assert {item.id for item in answer.items} == recent
    assert 0 < len(recent) < len(here)


@TIMES_AS_TEXT
@pytest.mark.parametrize(
    "fields",
    [
        ["session_state"],
        ["user_name"],
        ["app_server_group_id"],
        ["machine_name"],
        ["vm_ip"],
        ["public_ip"],
        ["is_success"],
        ["is_success", "session_state", "user_name", "vm_ip"],
    ],
    ids=str,
)
async def test_list_sessions_filters(clock: Callable[[], float], connect_sdk: Connect, fields: list[str]) -> None:
    """Each filter of the SDK, alone and combined, selects just the sessions with a value, and counts them all."""
    simulator = Simulator(SimulatorOptions(quota=0), clock=clock)
    values = {session.id: [filter_value(session, field) for field in fields] for session in simulator.sessions()}
    wanted = {tuple(each) for each in values.values() if None not in each}
    window = {"query_begin_time": timestamp(clock() - 86400), "query_end_time": timestamp(clock())}
    async with simulator.serve() as url:
        list_sessions = connect_sdk(url).sessions.list_sessions
        for each in wanted:
            request = ListSessionsRequest(limit=1, **window, **dict(zip(fields, each, strict=True)))
            counted = await asyncio.to_thread(list_sessions, request)
            request.limit = 100
            answer = await asyncio.to_thread(list_sessions, request)
            assert {item.id for item in answer.items} == {ident for ident, other in values.items() if [*each] == other}
            assert counted.count == answer.count == len(answer.items)
    assert len(wanted) > 1


def filter_value(session: SessionInfo, field: str) -> str | None:
    """Return the value of a filter of ListSessions that selects a session, None if no value does."""
    if field == "is_success":
        return {"AppcInit": None, "InitFail": "false"}.get(str(session.session_state), "true")
    return str(session.login_user).partition("@")[0] if field == "user_name" else str(getattr(session, field))


@TIMES_AS_TEXT
async def test_list_servers_is_paged_and_counts_live_sessions(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """The pages contain each server once, with its group and its number of sessions that are not over."""
    simulator = Simulator(clock=clock)
    async with simulator.serve() as url:
        list_servers = connect_sdk(url).sessions.list_servers
        pages = [await asyncio.to_thread(list_servers, ListServersRequest(limit=7, offset=n)) for n in (0, 7, 14)]
        ten = await asyncio.to_thread(list_servers, ListServersRequest())
    servers = list(chain.from_iterable(page.items for page in pages))
    assert [page.count for page in (*pages, ten)] == [15] * 4
    assert [server.id for server in servers[:10]] == [server.id for server in ten.items]
    assert len({server.id for server in servers}) == 15
    live = Counter(
        (session.app_server_group_id, session.app_server_group_name, session.machine_name, session.vm_ip)
        for session in simulator.sessions()
        if session.session_state in {"AppcInit", "Active", "Disconnected"}
    )
    for server in servers:
        key = (server.server_group_id, server.server_group_name, server.machine_name, server.host_address[0].addr)
        assert server.session_count == live.pop(key, 0) <= server.product_info.sessions
    assert not live
    assert Counter(
        (server.status, server.vm_status, server.maintain_status, len(server.freeze)) for server in servers
    ) == {
        ("REGISTERED", "ACTIVE", False, 0): 13,
        ("MAINTAINING", "ACTIVE", True, 0): 1,
        ("FREEZE", "FREEZE", False, 1): 1,
    }


@TIMES_AS_TEXT
@pytest.mark.parametrize(
    "filters",
    [
        {"server_group_id": "second"},
        {"server_id": "second"},
        {"server_name": "group-1-"},
        {"machine_name": "APS-"},
        {"machine_name": "second"},
        {"ip_addr": "172.16.1."},
        {"maintain_status": "true"},
        {"maintain_status": "false"},
        {"scaling_auto_create": "true"},
        {"scaling_auto_create": "false"},
        {"server_group_id": "second", "maintain_status": "true"},
        {"server_name": "nowhere"},
    ],
    ids=str,
)
async def test_list_servers_filters(clock: Callable[[], float], connect_sdk: Connect, filters: dict[str, str]) -> None:
    """Each filter of the SDK, alone and combined, selects just the servers that match it."""
    simulator = Simulator(clock=clock)
    servers = simulator.population.servers(clock())
    second = servers[5]
    own = {"server_id": second.id, "server_group_id": second.server_group_id, "machine_name": second.machine_name}
    given = {name: own[name] if value == "second" else value for name, value in filters.items()}
    async with simulator.serve() as url:
        answer = await asyncio.to_thread(connect_sdk(url).sessions.list_servers, ListServersRequest(limit=100, **given))

    def shown(server: AppServer, name: str, value: Any) -> bool:
        fields = {"server_id": server.id, "server_name": server.name, "ip_addr": server.host_address[0]["addr"]}  # type: ignore[index] # it has one
        text = str(fields.get(name, getattr(server, name, None)))
        return text == value if name.endswith("_id") else value in text or value == text.lower()

    expected = [server.id for server in servers if all(shown(server, *each) for each in given.items())]
    assert [server.id for server in answer.items] == expected
    assert answer.count == len(expected)
    assert bool(expected) == (filters.get("server_name") != "nowhere")


@TIMES_AS_TEXT
@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [1, 2, 3]),
        ({"server_group_name": "server-group-2"}, [2]),
        ({"server_group_name": "server-group"}, []),
        ({"server_group_id": "first"}, [1]),
        ({"app_type": "SESSION_DESKTOP_APP"}, [1]),
        ({"app_type": "COMMON_APP"}, [2, 3]),
        ({"tags": "floor"}, [1, 2, 3]),
        ({"tags": "2"}, [3]),
        ({"enterprise_project_id": "0"}, [1, 2, 3]),
        ({"enterprise_project_id": "1"}, []),
        ({"is_secondary_server_group": "true"}, []),
        ({"is_secondary_server_group": "false"}, [1, 2, 3]),
    ],
    ids=str,
)
async def test_list_server_groups_filters(
    clock: Callable[[], float], connect_sdk: Connect, filters: dict[str, str], numbers: list[int]
) -> None:
    """Each filter of the SDK selects just the groups that match it. They are the groups of sessions and servers."""
    simulator = Simulator(clock=clock)
    groups = simulator.population.server_groups(clock())
    given = {name: str(groups[0].id) if value == "first" else value for name, value in filters.items()}
    async with simulator.serve() as url:
        list_groups = connect_sdk(url).sessions.list_server_groups
        answer = await asyncio.to_thread(list_groups, ListServerGroupsRequest(**given))
        last = await asyncio.to_thread(list_groups, ListServerGroupsRequest(limit=1, offset=max(0, len(numbers) - 1)))
    assert [group.name for group in answer.items] == [f"server-group-{number}" for number in numbers]
    assert answer.count == len(numbers)
    assert [group.id for group in last.items] == ([groups[len(numbers) - 1].id] if numbers else [groups[0].id])
    known = {(group.id, group.name) for group in groups}
    assert {(group.id, group.name) for group in answer.items} <= known
    assert all(group.app_server_count == 5 for group in answer.items)
    assert {
        (server.server_group_id, server.server_group_name) for server in simulator.population.servers(clock())
    } == known
    assert {(session.app_server_group_id, session.app_server_group_name) for session in simulator.sessions()} == known


@pytest.mark.parametrize(
    ("action", "call", "request_"),
    [
        ("workspace:server:list", "list_servers", ListServersRequest()),
        ("workspace:serverGroup:list", "list_server_groups", ListServerGroupsRequest()),
    ],
)
async def test_server_listings_require_their_actions(
    clock: Callable[[], float], connect_sdk: Connect, action: str, call: str, request_: Any
) -> None:
    """Without the IAM action, the listing is forbidden."""
    async with Simulator(SimulatorOptions(denied_actions=frozenset({action})), clock=clock).serve() as url:
        with pytest.raises(ClientRequestException) as error:
            await asyncio.to_thread(getattr(connect_sdk(url).sessions, call), request_)
    assert error.value.status_code == 403
    assert action in error.value.error_msg


async def test_unusual_names_survive_signing_and_encoding(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """The SDK signs names with spaces, +, %, ~ and umlauts, and the simulator verifies the bytes it receives."""
    people = {
        name: UserDetail(id=f"{number:032x}", user_name=name, account_expires=0)
        for number, name in enumerate(ODD_NAMES)
    }
    sessions = {name: [SessionInfo(id=name, session_state="Active")] for name in ODD_NAMES}
    async with Simulator(clock=clock, population=StaticPopulation(people, sessions)).serve() as url:
        sdk = connect_sdk(url)
        for name in ODD_NAMES:
            request = ListSessionByUserNameRequest(user_name=name)
            answer = await asyncio.to_thread(sdk.sessions.list_session_by_user_name, request)
            assert [session.id for session in answer.session_info_list] == [name]
        several = ListUsersRequest(user_names=ODD_NAMES)
        answer = await asyncio.to_thread(sdk.users.list_users, several)
    assert {user.user_name for user in answer.users} == set(ODD_NAMES)


async def test_temporary_keys_need_their_security_token(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """A key of the metadata service works only with its own security token."""
    simulator = Simulator(clock=clock)
    key = msgspec.json.decode(simulator.handle(Request("GET", SECURITY_KEY)).body)["credential"]
    request = ListUsersRequest()
    async with simulator.serve() as url:
        good = connect_sdk(url, key["access"], key["secret"], security_token=key["securitytoken"])
        assert (await asyncio.to_thread(good.users.list_users, request)).total_count == 50
        bad = connect_sdk(url, key["access"], key["secret"], security_token="another")
        with pytest.raises(ClientRequestException) as error:
            await asyncio.to_thread(bad.users.list_users, request)
    assert error.value.status_code == 401
    assert "Get secretKey failed" in error.value.error_msg


async def test_a_wrong_secret_is_rejected_with_the_canonical_request(
    clock: Callable[[], float], connect_sdk: Connect
) -> None:
    """A signature with another secret is a 401 that shows the canonical request, like that of the gateway."""
    async with Simulator(clock=clock).serve() as url:
        sdk = connect_sdk(url, secret_key="wrong")
        with pytest.raises(ClientRequestException) as error:
            await asyncio.to_thread(sdk.users.list_users, ListUsersRequest(limit="5"))
    assert (error.value.status_code, error.value.error_code) == (401, "APIGW.0301")
    assert "verify aksk signature fail, canonicalRequest:GET|/v2/" in error.value.error_msg


@pytest.mark.parametrize(
    ("options", "status", "code", "message"),
    [
        ({"denied_actions": frozenset({"workspace:users:list"})}, 403, "WKS.00010403", "workspace:users:list"),
        ({"faults": parse_faults("500=1")}, 500, "WKS.00010500", "An internal service error occurred."),
        ({"faults": parse_faults("503=1")}, 503, "WKS.00010503", "Service unavailable."),
    ],
)
async def test_errors_become_sdk_exceptions(  # noqa: PLR0913, PLR0917 - a table of cases with its fixtures
    clock: Callable[[], float],
    connect_sdk: Connect,
    options: dict[str, Any],
    status: int,
    code: str,
    message: str,
) -> None:
    """The SDK finds code, message and request id of 403, 500 and 503."""
    async with Simulator(SimulatorOptions(**options), clock=clock).serve() as url:
        with pytest.raises((ClientRequestException, ServerResponseException)) as error:
            await asyncio.to_thread(connect_sdk(url).users.list_users, ListUsersRequest())
    assert (error.value.status_code, error.value.error_code) == (status, code)
    assert message in error.value.error_msg
    assert error.value.request_id == "00000001" + "1".rjust(24, "0")


async def test_throttling_becomes_status_429(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """The SDK recognises 429 but drops the body, so that the code of the gateway is lost."""
    async with Simulator(SimulatorOptions(quota=1), clock=clock).serve() as url:
        list_users = connect_sdk(url).users.list_users
        await asyncio.to_thread(list_users, ListUsersRequest())
        with pytest.raises(ClientRequestException) as error:
            await asyncio.to_thread(list_users, ListUsersRequest())
    assert (error.value.status_code, error.value.error_code) == (429, "429")


async def test_unknown_users_are_not_found(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """An unknown name and an unknown id are a 404 with a WKS code."""
    async with Simulator(clock=clock).serve() as url:
        sdk = connect_sdk(url)
        calls = (
            (sdk.sessions.list_session_by_user_name, ListSessionByUserNameRequest(user_name="nobody")),
            (sdk.users.list_user_detail, ListUserDetailRequest(user_id="0" * 32)),
        )
        for call, request in calls:
            with pytest.raises(ClientRequestException) as error:
                await asyncio.to_thread(call, request)
            assert (error.value.status_code, error.value.error_code) == (404, "WKS.00170404")


async def test_another_project_is_rejected(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """Credentials are valid only for their own project."""
    async with Simulator(clock=clock).serve() as url:
        with pytest.raises(ClientRequestException) as error:
            await asyncio.to_thread(connect_sdk(url, project_id="f" * 32).users.list_users, ListUsersRequest())
    assert error.value.status_code == 403


@TIMES_AS_TEXT
async def test_personal_data_is_recognisable(clock: Callable[[], float], connect_sdk: Connect) -> None:
    """The answers contain every kind of personal data, so that a test for leaks proves something."""
    simulator = Simulator(clock=clock)
    window = {"query_begin_time": timestamp(clock() - 86400), "query_end_time": timestamp(clock())}
    async with simulator.serve() as url:
        sdk = connect_sdk(url)
        sessions = await asyncio.to_thread(sdk.sessions.list_sessions, ListSessionsRequest(**window))
        users = await asyncio.to_thread(sdk.users.list_users, ListUsersRequest())
    text = (sessions.raw_content + users.raw_content).decode()
    assert [mark for mark in PERSONAL_MARKS if mark not in text] == []


PROVIDERS = {
    "OIDC": OidcStsCredentialProvider,
    "identity provider": EnvCredentialProvider,
    "credentials file": ProfileCredentialProvider,
    "metadata": MetadataCredentialProvider,
    "pod identity": PodIdentityCredentialProvider,
    "chain": CredentialProviderChain,
}


def set_up_link(provider: str, url: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure one link of the SDK's chain for the simulator at a URL."""
    (directory / "id-token").write_text(f"{DEMO_ID_TOKEN}\n")
    (directory / "pod-token").write_text(f"{DEMO_POD_TOKEN}\n")
    profile = f"[basic]\nidp_id = {DEMO_IDP_ID}\nid_token_file = {directory}/id-token\niam_endpoint = {url}\n"
    (directory / "credentials").write_text(profile)
    oidc = {
        "HUAWEICLOUD_OIDC_PROVIDER_URN": DEMO_PROVIDER_URN,
        "HUAWEICLOUD_OIDC_AGENCY_URN": DEMO_AGENCY_URN,
        "HUAWEICLOUD_OIDC_TOKEN_FILE": str(directory / "id-token"),
        "HUAWEICLOUD_SDK_STS_ENDPOINT": url,
    }
    variables = {
        "OIDC": oidc,
        "chain": oidc,
        "identity provider": {
            "HUAWEICLOUD_SDK_IDP_ID": DEMO_IDP_ID,
            "HUAWEICLOUD_SDK_ID_TOKEN_FILE": str(directory / "id-token"),
            "HUAWEICLOUD_SDK_IAM_ENDPOINT": url,
        },
        "credentials file": {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(directory / "credentials")},
        "pod identity": {
            "HC_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/v1/credentials",
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(directory / "pod-token"),
        },
    }
    for name, value in variables.get(provider, {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(MetadataAccessor, "_METADATA_ENDPOINT", url)


@pytest.mark.parametrize(
    ("provider", "operations"),
    [
        ("OIDC", ["AssumeAgencyWithOIDC"]),
        ("chain", ["AssumeAgencyWithOIDC"]),
        ("identity provider", ["CreateTokenWithIdToken", "CreateTemporaryAccessKeyByToken"]),
        ("credentials file", ["CreateTokenWithIdToken", "CreateTemporaryAccessKeyByToken"]),
        ("metadata", ["unknown", "SecurityKey"]),  # it has no tokens of its own
        ("pod identity", ["AssumeAgencyForPodIdentity"]),
    ],
)
async def test_every_provider_of_the_sdk_gets_keys_that_work(
    clock: Callable[[], float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    operations: list[str],
) -> None:
    """The SDK's own providers obtain temporary keys and sign with them. One set of keys serves several requests."""
    simulator = Simulator(clock=clock)
    async with simulator.serve() as url:
        set_up_link(provider, url, tmp_path, monkeypatch)

        def list_twice() -> int:
            credentials = PROVIDERS[provider].get_basic().get_credentials()
            credentials.project_id = DEMO_PROJECT_ID
            client = WorkspaceClient.new_builder().with_credentials(credentials).with_endpoint(url).build()
            try:
                client.list_users(ListUsersRequest())
                return int(client.list_users(ListUsersRequest()).total_count)
            finally:
                client.close()

        assert await asyncio.to_thread(list_twice) == 50
    assert [call.operation for call in simulator.calls.log] == [*operations, "ListUsers", "ListUsers"]
