"""From bodies to values: only what is named is read, and nothing but the documented errors comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huaweicloudsdkworkspace.v2
import huaweicloudsdkworkspaceapp.v1
import msgspec
import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.promises import Promise

from exporter.cloud import answers, bodies, decoding, models, sources
from exporter.cloud.auth import AccessKey
from exporter.cloud.bodies import ErrorBody
from exporter.cloud.credentials import TemporaryCredentials
from exporter.cloud.models import Server, ServerGroup, Session, SessionKind, User, UserDetail
from exporter.cloud.transport import Answer
from exporter.simulator import PERSONAL_MARKS, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWERS = Path(__file__).with_name("answers")


def security_key(raw: bytes) -> TemporaryCredentials:
    return sources._keys(Answer(200, {}, raw))  # noqa: SLF001 - the whole decoding of the metadata service's answer


def token_expiry(raw: bytes) -> float | None:
    return sources._scoped_token(Answer(201, {"X-Subject-Token": "t"}, raw)).expires_at  # noqa: SLF001 - as above


DECODERS: dict[str, Callable[[bytes], object]] = {
    "sessions": answers.session_list,
    "user_detail": answers.user_detail,
    "session_page": answers.session_page,
    "user_page": answers.user_page,
    "server_page": answers.server_page,
    "server_group_page": answers.server_group_page,
    "security_key": security_key,
    "token_expiry": token_expiry,
}
TEXTS = ["id", *SessionKind.__struct_fields__]  # the texts of a session
NO_NUMBERS: list[object] = [-1, "-1", 10**10, 10**30, "9" * 5000, "", "many", None, 2.5, True, [], {}]
every_decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())

FIELDS = [
    *("session_info_list", "user_detail", "users", "total_count", "credential", "token", "error", "error_code"),
    *("errorCode", "code", "id", "session_state", "account_expires", "locked", "user_name", "access", "secret"),
    *("securitytoken", "expires_at", "items", "count", "start_time", "login_user", "product_info", "sessions"),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)


def answer(operation: str) -> bytes:
    """The reference's example of an answer."""
    return (ANSWERS / f"{operation}.json").read_bytes()


def body(value: object) -> bytes:
    return msgspec.json.encode(value)


def sessions_in(raw: bytes) -> tuple[Session, ...]:
    """The sessions in an answer of ListSessionByUserName, without their users."""
    return tuple(each.session for each in answers.session_list(raw).sessions)


def attempt(decode: Callable[[bytes], object], raw: bytes) -> object:
    """What is decoded, or the documented error."""
    try:
        return decode(raw)
    except bodies.UNDECODABLE as error:
        return error


def refused_with(decode: Callable[[bytes], object], raw: bytes) -> str | None:
    """The error code that a body is refused with."""
    with pytest.raises(ErrorBody) as refused:
        decode(raw)
    return refused.value.code


def test_the_documented_sessions() -> None:
    """The reference's example: two sessions, the first without a server group."""
    assert sessions_in(answer("ListSessionByUserName")) == (
        Session.of(
            id="a7db732e1ad511edaf56fa163ed8e03f",
            session_state="AppcInit",
            client_version="22.4.2.12888",
            agent_version="21.12.0.11461",
            failed_code="WKS.00000000",
            session_type="1",
            client_type="Windows 10 Enterprise",
            started=1_660_374_000.0,  # 2022-08-13 07:00
        ),
        Session.of(
            id="9d123d5e0f36419c9b345efcd031a92e",
            session_state="AppcInit",
            client_version="23.2.2.0",
            agent_version="23.2.0.0314",
            failed_code="WKS.00000000",
            app_server_group_id="fb8a92be-ebc1-4dac-9a4c-1590518d140a",
            session_type="2",
            client_type="Windows 10 Enterprise",
            started=1_688_699_040.0,  # 2023-07-07 03:04
        ),
    )


def test_the_documented_user() -> None:
    """The reference's example: an account in order that never ends."""
    assert answers.user_detail(answer("ListUserDetail")) == UserDetail(
        locked=False,
        user_expired=False,
        disabled=False,
        account_expires=0,
        next_login_change_password=True,
        password_never_expired=False,
        total_desktops=0,
    )


def test_a_page_of_users() -> None:
    """The flags of ListUsers, some with other names and types, become those of an account."""
    entry = {"id": "1", "user_name": "alice", "account_expires": "1000", "account_expired": True, "locked": False}
    page = answers.user_page(body({"total_count": 7, "users": [entry, {}]}))
    alice = User("1", "alice", locked=False, account_expired=True, account_expires="1000")
    assert (page.users, page.total_count) == ([alice, User()], 7)
    assert [user.detail for user in page.users or ()] == [
        UserDetail(locked=False, user_expired=True, account_expires=1000),
        UserDetail(),
    ]


def test_the_password_and_the_desktops_of_a_listed_user_are_those_of_its_account() -> None:
    entry = {"next_login_change_password": True, "password_never_expired": False, "total_desktops": 2}
    (user,) = answers.user_page(body({"users": [entry]})).users
    assert user.detail == answers.user_detail(body({"user_detail": entry}))
    assert user.detail == UserDetail(next_login_change_password=True, password_never_expired=False, total_desktops=2)


def test_a_page_of_servers() -> None:
    """The SDK's AppServer has some forty fields. Six are read."""
    entry = {
        "id": "s-1",
        "name": "hush",
        "server_group_id": "g-1",
        "server_group_name": "Berlin",
        "status": "REGISTERED",
        "maintain_status": False,
        "session_count": 7,
        "product_info": {"product_id": "workspace.x", "sessions": 20},
        "host_address": [{"addr": "10.0.0.1"}],
    }
    page = answers.server_page(body({"count": 7, "items": [entry, {}]}))
    assert page == ((Server("s-1", "g-1", "Berlin", "REGISTERED", 7, 20), Server()), 7)


def test_a_page_of_server_groups() -> None:
    entry = {"id": "g-1", "name": "Berlin", "app_server_count": 3, "product_info": {}}
    page = answers.server_group_page(body({"count": 2, "items": [entry, {"id": None}]}))
    assert page == ((ServerGroup("g-1", "Berlin"), ServerGroup()), 2)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "product",
    [
        None,
        "",
        7,
        True,
        [],
        {},
        [{"sessions": 20}],
        *({"sessions": each} for each in NO_NUMBERS),
    ],
    ids=repr,
)
def test_a_product_of_another_type_costs_only_the_capacity(product: object) -> None:
    entries = [{"id": "1", "session_count": 3, "product_info": product}, {"id": "2", "product_info": {"sessions": 4}}]
    servers, _ = answers.server_page(body({"items": entries}))
    assert servers == (Server("1", session_count=3), Server("2", max_sessions=4))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        *((0, 0), (20, 20), ("20", 20)),
        *((odd, None) for odd in NO_NUMBERS),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_numbers_of_sessions_may_be_texts_within_bounds(sent: object, read: int | None) -> None:
    entry = {"id": "1", "session_count": sent, "product_info": {"sessions": sent}}
    (server,), _ = answers.server_page(body({"items": [entry]}))
    assert server == Server("1", session_count=read, max_sessions=read)


@pytest.mark.bad_input
@pytest.mark.parametrize("sent", [[], {}, True, ["g"], [[]]], ids=repr)
@pytest.mark.parametrize("field", ["id", "server_group_id", "server_group_name", "status"])
def test_a_server_s_text_of_another_type_costs_that_field(field: str, sent: object) -> None:
    servers, _ = answers.server_page(body({"items": [{"session_count": 1, field: sent}, {"id": "2"}]}))
    assert servers == (Server(session_count=1), Server("2"))


@pytest.mark.bad_input
def test_empty_texts_of_servers_are_unknown_and_long_ones_are_cut() -> None:
    texts = {"server_group_id": "i" * 9_999, "server_group_name": "n" * 9_999, "status": ""}
    (server,), _ = answers.server_page(body({"items": [{"id": "x" * 257, **texts}]}))
    assert server == Server(None, "i" * models.MAX_CHARACTERS, "n" * models.MAX_CHARACTERS, None)
    ((group,), _) = answers.server_group_page(body({"items": [{"id": "i" * 9_999, "name": ""}]}))
    assert group == ServerGroup(server.server_group_id, None), "as in the servers"


def test_the_same_texts_of_servers_and_their_groups_share_their_memory() -> None:
    """Also with the sessions on them."""
    entry = {"server_group_id": "group-1", "status": "REGISTERED"}
    (one, other), _ = answers.server_page(body({"items": [entry, entry]}))
    (session,) = sessions_in(body({"session_info_list": [{"app_server_group_id": "group-1"}]}))
    assert one.server_group_id is other.server_group_id is session.kind.app_server_group_id
    assert one.status is other.status


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (models.AppSession, huaweicloudsdkworkspaceapp.v1.SessionInfo),
        (models.AppServer, huaweicloudsdkworkspaceapp.v1.AppServer),
        (models.ServerGroup, huaweicloudsdkworkspaceapp.v1.ServerGroup),
        (models.User, huaweicloudsdkworkspace.v2.User),
        (models.UserDetail, huaweicloudsdkworkspace.v2.UserDetail),
    ],
)
def test_every_field_that_is_read_is_one_of_the_sdk(ours: type[msgspec.Struct], theirs: Any) -> None:
    assert set(ours.__struct_fields__) <= set(theirs.attribute_map.values())


def test_temporary_keys() -> None:
    """The metadata service's answer, whole."""
    credential = {"access": "A", "secret": "S", "securitytoken": "T", "expires_at": "2026-01-01T00:00:00.000000Z"}
    key = security_key(body({"credential": credential}))
    assert key == TemporaryCredentials(AccessKey("A", "S", "T"), 1_767_225_600.0)


def test_the_end_of_a_token() -> None:
    """Of IAM's long answer only the token's end is read."""
    raw = body({"token": {"expires_at": "2026-01-01T00:00:00.000000Z", "roles": [{"name": "x"}], "user": {}}})
    assert token_expiry(raw) == 1_767_225_600.0


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"expires_at": 1_767_225_600}, 1_767_225_600.0),
        ({"expiration": 1_767_225_600_000}, 1_767_225_600.0),
        ({"expires_at": "soon"}, None),
        ({"expires_at": ["2026-01-01T00:00:00Z"], "expiration": "2026-01-01T00:00:00Z"}, 1_767_225_600.0),
        ({"expires_at": True}, None),
        ({}, None),
    ],
)
def test_the_end_of_credentials_in_another_form_costs_at_most_the_end(
    fields: dict[str, Any], end: float | None
) -> None:
    key = AccessKey("A", "S", "T")
    raw = {"access": "A", "secret": "S", "securitytoken": "T", **fields}
    assert security_key(body({"credential": raw, "credentials": "none"})) == TemporaryCredentials(key, end)
    assert token_expiry(body({"token": fields})) == end


@pytest.mark.parametrize("session", [{}, dict.fromkeys(models.AppSession.__struct_fields__)], ids=["absent", "null"])
def test_fields_of_a_session_may_be_missing(session: dict[str, Any]) -> None:
    """Absent or null, a field is None."""
    assert sessions_in(body({"session_info_list": [session]})) == (Session.of(),)


@pytest.mark.parametrize("flags", [{}, dict.fromkeys(UserDetail.__struct_fields__)], ids=["absent", "null"])
def test_flags_of_a_user_may_be_missing(flags: dict[str, Any]) -> None:
    """Absent or null, a flag is None: unknown, not false."""
    assert answers.user_detail(body({"user_detail": flags})) == UserDetail()


def test_unknown_fields_are_skipped() -> None:
    """New fields of any shape change nothing, at the top and inside."""
    new = {"new": {"deep": [1, {"er": None}]}, "newer": [[]], "": 1e300}
    assert sessions_in(body({"session_info_list": [{"id": "1", **new}], **new})) == (Session.of(id="1"),)
    assert answers.user_detail(body({"user_detail": {"locked": True, **new}, **new})) == UserDetail(locked=True)
    assert answers.user_page(body({"users": [{"id": "1", **new}], **new})).users == [User("1")]


def test_unknown_values_are_kept() -> None:
    """A state that the reference does not know yet is a state like any other."""
    assert sessions_in(body({"session_info_list": [{"session_state": "Hibernating"}]})) == (
        Session.of(session_state="Hibernating"),
    )


@pytest.mark.parametrize("raw", [b"{}", b'{"session_info_list": null}', b'{"session_info_list": []}', b" { }\n"])
def test_an_absent_or_null_list_is_empty_if_there_is_nothing_else(raw: bytes) -> None:
    assert sessions_in(raw) == ()


@pytest.mark.bad_input
@every_decoder
@pytest.mark.parametrize(
    "content",
    [
        {"message": "Service under maintenance"},
        {"error_msg": "Service under maintenance"},
        {"errorMsg": "Service under maintenance", "error_code": None},
        {"message": None},
        {"error_msg": None, "error_code": None},
        {"sessions": []},
        {"user": {}},
        {"count": 0},
        {"result": {"session_info_list": [], "users": [], "items": [], "user_detail": {}}},
        {"data": "x" * 100_000},
        {"session_info_list": None, "users": None, "items": None, "user_detail": None, "message": "maintenance"},
    ],
    ids=lambda content: repr(content)[:40],
)
def test_another_object_is_not_an_empty_answer(decode: Callable[[bytes], object], content: dict[str, object]) -> None:
    """An object with other content, but without the expected field, says nothing about sessions or users."""
    assert refused_with(decode, body(content)) is None


@pytest.mark.bad_input
@pytest.mark.parametrize("decode", [each for name, each in DECODERS.items() if name != "sessions"])
@pytest.mark.parametrize("raw", [b"{}", body(dict.fromkeys(FIELDS))])
def test_all_other_answers_need_their_field(decode: Callable[[bytes], object], raw: bytes) -> None:
    assert refused_with(decode, raw) is None


@pytest.mark.bad_input
@every_decoder
@pytest.mark.parametrize(
    "error",
    [
        {"error_code": "WKS.1", "error_msg": "m"},
        {"errorCode": "WKS.1", "errorMsg": "m"},
        {"code": "WKS.1", "message": "m"},
        {"error_code": None, "errorCode": None, "code": "WKS.1"},
        {"error_code": "WKS.00000000", "code": "WKS.1"},
        {"error": {"code": "WKS.1", "message": "m", "title": "t"}},
        {"error": {"error_code": "WKS.1", "error_msg": "m"}},
        {"response": {"errorCode": "WKS.1", "errorMsg": "m"}},
        {"first": "text", "second": [1], "third": None, "error": {"code": "WKS.1"}},
    ],
    ids=repr,
)
def test_an_error_under_a_status_of_success(decode: Callable[[bytes], object], error: dict[str, Any]) -> None:
    """In every shape, at the top and one level down, an error body is an error with its code, whatever the status."""
    assert refused_with(decode, body(error)) == "WKS.1"
    assert bodies.error_code(body(error)) == "WKS.1"


@pytest.mark.parametrize("error", [{"error_code": "WKS.1"}, {"error": {"code": "WKS.1"}}])
@pytest.mark.parametrize("listed", [[], [{"id": "1"}]])
def test_an_error_beside_a_list_is_an_error(listed: list[object], error: dict[str, object]) -> None:
    """An error code counts even where the expected list is there, too."""
    assert refused_with(answers.session_list, body({"session_info_list": listed, **error})) == "WKS.1"
    assert refused_with(answers.user_page, body({"users": listed, **error})) == "WKS.1"


@pytest.mark.parametrize("error", [None, "", "none", [], {}, {"code": 0}])
def test_an_error_without_a_code_beside_a_list_is_none(error: object) -> None:
    assert sessions_in(body({"session_info_list": [], "error": error})) == ()


@pytest.mark.bad_input
@pytest.mark.parametrize("field", ["error_code", "errorCode", "code", "error"])
@pytest.mark.parametrize("odd", ["22.4", "true", "[]", '{"a": [1]}', "9" * 5000, "1e999"])
def test_a_code_of_another_type_costs_no_answer(field: str, odd: str) -> None:
    """It is no code. The answer beside it is read."""
    raw = f'{{"users": [{{"id": "u"}}], "{field}": {odd}}}'.encode()
    assert [user.id for user in answers.user_page(raw).users] == ["u"]
    assert bodies.error_code(raw) is None


@pytest.mark.parametrize("code", [401, -1])
def test_codes_may_be_numbers(code: int) -> None:
    """IAM's codes are numbers."""
    assert bodies.error_code(body({"error": {"code": code, "message": "m", "title": "t"}})) == str(code)


@pytest.mark.parametrize("code", ["WKS.00000000", "", "0", "200", 0, 200, None])
@pytest.mark.parametrize("name", ["error_code", "errorCode", "code"])
def test_some_codes_mean_success(name: str, code: object) -> None:
    """A code that says that all is well is no error."""
    raw = body({"session_info_list": [{"id": "1"}], name: code})
    assert sessions_in(raw) == (Session.of(id="1"),)
    assert bodies.error_code(raw) is None


def test_failed_sessions_are_no_error_bodies() -> None:
    """A session's failed_code is data."""
    raw = body({"session_info_list": [{"failed_code": "WKS.00010001"}]})
    assert sessions_in(raw) == (Session.of(failed_code="WKS.00010001"),)
    assert bodies.error_code(raw) is None


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b" ", b"null", b"[]", b"[{}]", b'"text"', b"1", b"true", b"<html></html>", b"Bad Gateway", b"\xff\xfe"),
        b'{"error_code": "WKS.1"',
        b'{"error": [{"error_code": "WKS.1"}]}',
        b'{"error": {"deeper": {"error_code": "WKS.1"}}}',
        b'{"error_code": ["WKS.1"]}',
        b'{"error_code": 1.5}',
    ],
)
def test_a_body_without_an_error_code(raw: bytes) -> None:
    """Whatever the body of a refusal is, reading its code raises nothing."""
    assert bodies.error_code(raw) is None


@pytest.mark.bad_input
@every_decoder
@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b" ", b"null", b"[]", b"[{}]", b'"text"', b"1", b"true", b"<html></html>", b"\x00", b"NaN", b"{]"),
        b"\xef\xbb\xbf{}",  # a byte order mark is no JSON
        b"\xff\xfe{\x00}\x00",
        b'{"session_info_list": [{"id": "1"}, {"i',
        b'{"user_detail": {"locked": fal',
        b"{} {}",
        b"\x1f\x8b\x08\x00",
        b'{"x": ' + b"[" * 100_000,
        b'{"x":' * 100_000,
    ],
    ids=lambda raw: repr(raw[:20]) if isinstance(raw, bytes) else None,
)
def test_what_is_no_answer(decode: Callable[[bytes], object], raw: bytes) -> None:
    """No JSON, no object, cut off, or nested without end: each costs no more than this answer."""
    with pytest.raises(bodies.UNDECODABLE):
        decode(raw)


@pytest.mark.bad_input
@pytest.mark.parametrize("entries", [{}, "x", 7, True, [None], [[]], ["x"], [{"id": "1"}, 7]], ids=repr)
@pytest.mark.parametrize(
    ("decode", "name"),
    [
        (answers.session_list, "session_info_list"),
        (answers.session_page, "items"),
        (answers.user_page, "users"),
        (answers.server_page, "items"),
        (answers.server_group_page, "items"),
    ],
)
def test_a_list_or_an_entry_of_another_type_costs_the_answer(
    decode: Callable[[bytes], object], name: str, entries: object
) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(body({name: entries}))


@pytest.mark.bad_input
@pytest.mark.parametrize("account", [[], "x", 7, [{}]], ids=repr)
def test_an_account_of_another_type_costs_the_answer(account: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        answers.user_detail(body({"user_detail": account}))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("22.40", "22.40"),  # as it was written, not as a float is printed
        ("7", "7"),
        ("-1e9", "-1e9"),
        (str(10**60), str(10**60)),
        *[(other, None) for other in ("true", "false", "null", "[]", "{}", '["22.4"]', '{"id": "1"}', "[[[[]]]]")],
    ],
)
@pytest.mark.parametrize("field", TEXTS)
def test_a_text_of_another_type_costs_that_field(field: str, sent: str, read: str | None) -> None:
    """A number is read as text, anything else is dropped. The other fields and sessions are not affected."""
    other = "session_state" if field != "session_state" else "id"
    raw = f'{{"session_info_list": [{{"{field}": {sent}, "{other}": "kept"}}, {{"id": "2"}}]}}'.encode()
    expected = Session.of(**{field: read, other: "kept"})  # type: ignore[arg-type] # all are texts
    assert sessions_in(raw) == (expected, Session.of(id="2"))


@pytest.mark.bad_input
@pytest.mark.parametrize("start", [1_660_374_000, 1_712_010_000_000, True, ["2022-08-13 07:00:20"], {}, "9" * 300])
def test_a_start_of_another_type_is_unknown(start: object) -> None:
    """A number could be seconds, milliseconds or digits of a date."""
    raw = body({"session_info_list": [{"id": "1", "start_time": start}]})
    assert sessions_in(raw) == (Session.of(id="1"),)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "flag", ["locked", "user_expired", "disabled", "next_login_change_password", "password_never_expired"]
)
@pytest.mark.parametrize("sent", ["false", "no", 0, 1, [], {}, 1.5], ids=repr)
def test_a_flag_of_another_type_is_unknown(flag: str, sent: object) -> None:
    """Flags are not guessed from what looks like one."""
    detail = answers.user_detail(body({"user_detail": {"account_expires": 7, flag: sent}}))
    assert detail == UserDetail(account_expires=7)


@pytest.mark.bad_input
@pytest.mark.parametrize(("sent", "read"), [(7, 7), ("7", None), (0.5, None), (True, None), ([7], None)])
def test_a_number_of_another_type_is_dropped(sent: object, read: int | None) -> None:
    assert answers.user_detail(body({"user_detail": {"account_expires": sent}})) == UserDetail(account_expires=read)
    assert answers.user_detail(body({"user_detail": {"total_desktops": sent}})) == UserDetail(total_desktops=read)


@pytest.mark.bad_input
@pytest.mark.parametrize(("sent", "read"), [(7, 7), ("7", 7), (-1, -1), (None, None), (10**25, 10**25)])
def test_the_number_of_all_entries_may_be_a_text_and_of_any_size(sent: object, read: int | None) -> None:
    assert answers.user_page(body({"users": [], "total_count": sent})).total_count == read
    for decode in (answers.session_page, answers.server_page, answers.server_group_page):
        assert decode(body({"items": [], "count": sent})).total == read


@pytest.mark.bad_input
@pytest.mark.parametrize("sent", [0.5, True, [7], {}, "seven", "", 10**100])
def test_a_number_of_all_entries_that_cannot_be_read_costs_the_page(sent: object) -> None:
    """Without it, an empty page could pass for an empty listing."""
    with pytest.raises(ErrorBody):
        answers.user_page(body({"users": [], "total_count": sent}))
    for decode in (answers.session_page, answers.server_page, answers.server_group_page):
        with pytest.raises(ErrorBody):
            decode(body({"items": [], "count": sent}))


@pytest.mark.bad_input
def test_a_user_s_field_of_another_type_costs_that_field() -> None:
    raw = body({"users": [{"id": 7, "user_name": ["x"], "locked": "x", "disabled": True}, {"id": "2"}]})
    assert answers.user_page(raw).users == [User("7", disabled=True), User("2")]


@pytest.mark.bad_input
def test_a_user_s_name_is_never_shortened() -> None:
    """A part of a name would be another name."""
    assert answers.user_page(body({"users": [{"id": "1", "user_name": "x" * 257}]})).users == [User("1")]


@pytest.mark.bad_input
def test_a_field_of_another_type_is_logged_once() -> None:
    decoding._report.cache_clear()  # noqa: SLF001 - as in a new process
    raw = body({"users": [{"id": []}, {"id": []}, {"locked": 7}, {"user_name": 7}]})
    with structlog.testing.capture_logs() as log:
        answers.user_page(raw)
        answers.user_page(raw)
    assert [(event["event"], event["entry"], event["field"]) for event in log] == [
        ("field_dropped", "User", "id"),
        ("field_dropped", "User", "locked"),
        ("field_read_as_text", "User", "user_name"),
    ]


@pytest.mark.bad_input
@pytest.mark.parametrize("missing", ["access", "secret", "securitytoken"])
def test_half_a_key_is_none(missing: str) -> None:
    """Temporary keys are of use only whole."""
    whole = {"access": "A", "secret": "S", "securitytoken": "T", "expires_at": "E"}
    for credential in ({name: whole[name] for name in whole if name != missing}, {**whole, missing: None}):
        with pytest.raises(bodies.UNDECODABLE):
            security_key(body({"credential": credential}))


@pytest.mark.bad_input
def test_invalid_utf8_in_what_is_read() -> None:
    """Text that is no UTF-8 is an error where it is used, and skipped with its field elsewhere."""
    with pytest.raises(bodies.UNDECODABLE):
        answers.session_list(b'{"session_info_list": [{"id": "\xff"}]}')
    with pytest.raises(bodies.UNDECODABLE):
        answers.session_page(b'{"items": [{"start_time": "\\ud800"}], "count": 1}')  # half a character
    assert sessions_in(b'{"session_info_list": [{"client_name": "\xff"}]}') == (Session.of(),)


@pytest.mark.bad_input
@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "1e400", "-1", "1e300"])
def test_absurd_numbers(number: str) -> None:
    """A number beyond all bounds raises nothing else than an undecodable body does."""
    attempt(answers.user_detail, b'{"user_detail": {"account_expires": %s}}' % number.encode())
    assert bodies.error_code(b'{"code": 1e400}') is None


@pytest.mark.bad_input
@pytest.mark.promise(Promise.UNSTOPPED)
@settings(deadline=None)  # the deeply nested example takes its time
@given(st.binary() | anything.map(body))
@example(b"\xef\xbb\xbf")
@example(b'{"error":' * 2000)
def test_nothing_else_is_ever_raised(raw: bytes) -> None:
    """Arbitrary bytes and arbitrary JSON raise nothing but UNDECODABLE; reading an error code raises nothing at all."""
    for decode in DECODERS.values():
        attempt(decode, raw)
    code = bodies.error_code(raw)
    assert code is None or code


@pytest.mark.bad_input
@given(st.data())
def test_damaged_answers_raise_nothing_else(data: st.DataObject) -> None:
    """The same for the documented answers with a few bytes changed, or cut off."""
    operation = data.draw(st.sampled_from(["ListSessionByUserName", "ListUserDetail"]))
    raw = bytearray(answer(operation))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    for decode in DECODERS.values():
        attempt(decode, bytes(raw))
    bodies.error_code(bytes(raw))


def test_documented_personal_data_is_not_read() -> None:
    """No name, address, mail or login of the reference's examples is in the decoded values."""
    shown = repr((sessions_in(answer("ListSessionByUserName")), answers.user_detail(answer("ListUserDetail"))))
    [first, second] = json.loads(answer("ListSessionByUserName"))["session_info_list"]
    detail = json.loads(answer("ListUserDetail"))["user_detail"]
    personal = ["client_ip", "client_mac", "client_name", "login_user", "vm_ip", "machine_sid", "session_stamp"]
    values = {entry[name] for entry in (first, second) for name in personal}
    values |= {detail[name] for name in ("user_email", "user_name", "full_name", "description")}
    assert [value for value in values if value in shown] == []
    assert (first["client_version"] in shown, second["app_server_group_id"] in shown) == (True, True)


def test_simulated_personal_data_is_not_read() -> None:
    """The same is true for the simulator's marked personal data, which fills every field of sessions and users."""
    simulator = Simulator()
    sessions = body({"session_info_list": simulator.sessions()})
    users = [body({"user_detail": user}) for user in simulator.users()]
    page = body({"users": simulator.users(), "total_count": 1})
    assert all(mark in (sessions + b"".join(users)).decode() for mark in PERSONAL_MARKS)
    decoded = (
        sessions_in(sessions),
        [answers.user_detail(user) for user in users],
        answers.user_page(page),
    )
    assert [mark for mark in PERSONAL_MARKS if mark in repr(decoded)] == []


def test_temporary_keys_are_not_shown() -> None:
    """The keys of the metadata service do not appear in a repr."""
    credential = {"access": "A", "secret": "hush-1", "securitytoken": "hush-2", "expires_at": "2026-01-01T00:00:00Z"}
    assert "hush" not in repr(security_key(body({"credential": credential})))


@pytest.mark.parametrize(
    ("message", "quota"),
    [
        ("The throttling threshold has been reached: policy user over ratelimit,limit:200,time:1 minute", 200),
        ("policy api over ratelimit,limit:10,time:1 second", 600),
        ("policy api over ratelimit,limit:600,time:2 hour", 5),
        ("policy api over ratelimit,limit:0,time:1 minute", None),
        ("policy api over ratelimit,limit:200,time:0 minute", None),
        ("too many requests", None),
        ("x" * 5000 + "limit:200,time:1 minute", None),
    ],
)
def test_the_quota_is_read_from_a_429s_message(message: str, quota: float | None) -> None:
    """In calls a minute; None where the message names none, or none that can be."""
    body = msgspec.json.encode({"error_code": "APIG.0308", "error_msg": message})
    assert bodies.quota_from_429(body) == pytest.approx(quota)


@pytest.mark.bad_input
def test_endless_texts_are_cut() -> None:
    """A version of a megabyte would be kept as long as its session is."""
    texts = {name: name + "x" * 1_000_000 for name in TEXTS}
    (session,) = sessions_in(msgspec.json.encode({"session_info_list": [texts]}))
    kept = [session.id, *msgspec.structs.astuple(session.kind)]
    assert [text[: len(name)] for text, name in zip(kept, TEXTS, strict=True)] == TEXTS
    assert {len(text) for text in kept} == {models.MAX_CHARACTERS}


def test_texts_that_are_too_long_are_cut_and_counted() -> None:
    long = {"client_version": "9" * 129, "agent_version": "8" * 1000, "failed_code": "7" * 128}
    found = answers.session_list(body({"session_info_list": [long, {"id": "1"}]}))
    assert found.cut == 2
    assert [listed.session for listed in found.sessions] == [
        Session.of(client_version="9" * 128, agent_version="8" * 128, failed_code="7" * 128),
        Session.of(id="1"),
    ]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("decode", "name", "most"),
    [
        (answers.session_list, "session_info_list", answers.MAX_SESSIONS),
        (answers.session_page, "items", answers.MAX_SESSIONS),
        (answers.user_page, "users", answers.MAX_USERS),
        (answers.server_page, "items", answers.MAX_SERVERS),
        (answers.server_group_page, "items", answers.MAX_SERVERS),
    ],
)
def test_a_list_with_more_entries_than_any_is_invalid(decode: Callable[[bytes], object], name: str, most: int) -> None:
    decode(body({name: [{}] * most}))
    assert refused_with(decode, body({name: [{}] * (most + 1)})) is None
    assert refused_with(decode, body({name: [{"id": 7}] * (most + 1)})) is None
    assert refused_with(decode, b"{}," * 20_001) is None, "decoding would find that this is no JSON"


@pytest.mark.parametrize(
    ("told", "read"), [("0", 0), (7, 7), (None, None), ("", None), ("never", None), ("9" * 5000, None)]
)
def test_an_account_s_end_that_cannot_be_read_is_not_known(told: str | int | None, read: int | None) -> None:
    """It is a string of milliseconds in ListUsers."""
    assert User(account_expires=told).detail.account_expires == read


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("decode", "name", "field"),
    [(answers.server_page, "items", "session_count"), (answers.user_page, "users", "account_expires")],
)
def test_a_page_of_long_numbers_is_decoded_in_time(
    decode: Callable[[bytes], object], name: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes a third of a millisecond for a number of 4,000 digits. None is read."""
    monkeypatch.setattr(models, "int", lambda _: pytest.fail("a long text is read as a number"), raising=False)
    decoded = decode(body({name: [{"id": "1", field: "9" * 4_000}]}))
    assert all(user.detail == UserDetail() for user in getattr(decoded, "users", ()))


@pytest.mark.parametrize(
    ("start_time", "started"),
    [
        ("2022-08-13 07:00:20", 1660374020.0),
        ("2022-08-13T07:00:20+02:00", 1660366820.0),
        ("2022-08-13T07:00:20Z", 1660374020.0),
        ("soon", None),
        ("", None),
        (None, None),
        ("9999-99-99 00:00:00", None),
        ("-", None),
        ("\u0662\u0660\u0662\u0664-01-01", None),  # 2024, in Arabic digits
        ("2024-W01-1", 1704067200.0),
        ("20240101", 1704067200.0),
        ("0001-01-01 00:00:00", None),  # how the cloud says "not yet"
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", 253402351199.0),
    ],
)
def test_the_start_of_a_session_is_kept_to_the_minute(start_time: str | None, started: float | None) -> None:
    """A time without a zone is read as UTC. One that cannot be read is unknown."""
    (listed,) = answers.session_list(body({"session_info_list": [{"start_time": start_time}]})).sessions
    assert listed.started == started
    assert listed.session.started == (None if started is None else started // 60 * 60)


@pytest.mark.parametrize(
    ("start_time", "changed_time", "utc", "kept", "changed"),
    [
        ("2022-08-13T07:00:20Z", "2022-08-13T07:00:30Z", True, 1660374030.0, 1660374030.0),
        ("2022-08-13 07:00:20", "2022-08-13 07:00:30", False, None, 1660374030.0),
        ("2022-08-13 07:00:20", "2022-08-13T07:00:30Z", False, None, None),
        ("2022-08-13T07:00:20Z", "2022-08-13 07:00:30", True, None, None),
        (None, "2022-08-13T07:00:30Z", True, 1660374030.0, 1660374030.0),
        ("2022-08-13T07:00:20Z", None, True, None, None),
        ("2022-08-13T07:00:20Z", 1660374030, True, None, None),
    ],
)
def test_a_change_counts_only_in_the_zone_of_the_start(
    start_time: object, changed_time: object, utc: bool, kept: float | None, changed: float | None
) -> None:
    """A session keeps the time of the change only if its zone is known."""
    entry = {"id": "1", "start_time": start_time, "last_update_status_time": changed_time}
    (listed,) = answers.session_page(body({"items": [entry]})).sessions
    assert (listed.utc, listed.session.changed, listed.changed) == (utc, kept, changed)


def test_a_listed_session_has_the_name_of_its_server_group() -> None:
    entry = {"id": "1", "app_server_group_id": "g-1", "app_server_group_name": "Berlin"}
    (listed,) = answers.session_page(body({"items": [entry]})).sessions
    assert (listed.session.kind.app_server_group_id, listed.group_name) == ("g-1", "Berlin")


def test_accounts_that_are_alike_share_their_memory() -> None:
    """Whichever operation reports them."""
    flags = {"locked": False, "disabled": False, "account_expires": 1_790_000_000_000, "total_desktops": 1_000}
    told = [answers.user_detail(body({"user_detail": flags | {"user_expired": False, "id": id_}})) for id_ in "ab"]
    listed = answers.user_page(body({"users": [flags | {"account_expired": False}]})).users
    assert listed
    assert told[0] is told[1] is listed[0].detail


def test_the_same_texts_of_many_sessions_share_their_memory() -> None:
    """Versions, states and codes are few; only ids are each session's own."""
    entry = {"session_state": "Active", "client_version": "1.0.0"}
    (one,) = sessions_in(body({"session_info_list": [entry]}))
    (other,) = sessions_in(body({"session_info_list": [entry]}))
    assert one.kind is other.kind
    (ended,) = sessions_in(body({"session_info_list": [entry | {"session_state": "SignedOut"}]}))
    assert one.kind.client_version is ended.kind.client_version
