"""The error for a status and an error code, and its text."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloud import bodies
from exporter.cloud.errors import (
    CloudError,
    Forbidden,
    Intercepted,
    InvalidResponse,
    NoCredentials,
    NotFound,
    Refused,
    Throttled,
    Unauthorized,
    Unreachable,
    refusal,
)
from exporter.polling.gate import FIRST_PAUSE_UNAVAILABLE, Access, KeyGate


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Refused),
        (302, Refused),
        (400, Refused),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, Refused),
        (429, Throttled),
        (500, Refused),
        (502, Refused),
        (503, Refused),
        (504, Refused),
    ],
)
def test_statuses_become_classes(status: int, kind: type[Refused]) -> None:
    """Each status has its class, and the error has the code and the id for support."""
    error = refusal("ListUsers", status, "WKS.00170404", "request-1")
    assert type(error) is kind
    assert (error.operation, error.outcome, error.status) == ("ListUsers", str(status), status)
    assert (error.error_code, error.request_id) == ("WKS.00170404", "request-1")


@pytest.mark.parametrize("code", ["APIG.0101", "APIGW.0101", "APIG.0301", None])
def test_a_gateways_404_says_nothing_about_a_user(code: str | None) -> None:
    """A 404 of the gateway, or without a code, does not make a user unknown."""
    assert type(refusal("ListUserDetail", 404, code, None)) is Refused


@pytest.mark.parametrize("code", ["WKS.00170404", "APIGATEWAY", "404"])
def test_a_services_404_is_about_the_user(code: str) -> None:
    """All codes without the gateway's prefix are the service's own."""
    assert type(refusal("ListUserDetail", 404, code, None)) is NotFound


@pytest.mark.parametrize("code", ["APIG.0308", "APIGW.0308", "APIGW.0301", None])
@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (403, Forbidden), (429, Throttled)])
def test_the_gateways_other_statuses_count(status: int, kind: type[Refused], code: str | None) -> None:
    """For all other statuses it does not matter who sends them."""
    assert type(refusal("ListUsers", status, code, None)) is kind


@pytest.mark.parametrize("kind", [Unauthorized, Forbidden, NotFound, Throttled])
def test_an_error_status_is_rejected(kind: type[CloudError]) -> None:
    """Every error with a status is a Refused, so callers need not know all classes."""
    assert issubclass(kind, Refused)


@pytest.mark.parametrize("kind", [Unreachable, NoCredentials, InvalidResponse, Refused])
def test_one_family(kind: type[CloudError]) -> None:
    """Every error is a CloudError, and these four exclude each other."""
    others = {Unreachable, NoCredentials, InvalidResponse, Refused} - {kind}
    assert issubclass(kind, CloudError)
    assert not issubclass(kind, tuple(others))


@pytest.mark.parametrize(("outcome", "status"), [("connection_error", 401), ("401", 401), ("403", 403), ("407", 407)])
async def test_what_a_proxy_answers_is_about_no_credentials(outcome: str, status: int) -> None:
    """It counts as a cloud that is not reached, also without its traceback."""
    error = Intercepted("ListUsers", outcome, by="the proxy p:1", status=status)
    assert not isinstance(error, Refused)
    assert isinstance(error, Unreachable)
    assert str(error) == str(error.bare()) == f"ListUsers: {outcome}, {error.detail}"
    assert error.detail.startswith(f"the proxy p:1 rejects the request ({status})")
    assert ("requires a user and password" in error.detail) is (status == 407)
    assert error.facts() == {"operation": "ListUsers", "code": outcome, "detail": error.detail}
    assert Access("p", lambda: "key", KeyGate()).reject(error, "key") == FIRST_PAUSE_UNAVAILABLE


@pytest.mark.parametrize("outcome", ["timeout", "connection_error", "tls_error", "invalid_response"])
def test_without_a_complete_answer_there_is_no_status(outcome: str) -> None:
    """The other outcomes are not statuses."""
    assert CloudError("ListUsers", outcome).status is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CloudError("ListUsers", "timeout"), "ListUsers: timeout"),
        (Unreachable("ListUsers", "tls_error", detail="why"), "ListUsers: tls_error, why"),
        (
            refusal("ListUsers", 403, "WKS.00010403", "request-1"),
            "ListUsers: 403, error_code WKS.00010403, request_id request-1",
        ),
    ],
)
def test_the_text_of_an_error(error: CloudError, text: str) -> None:
    """The text names the operation and the outcome, and everything else that is known."""
    assert str(error) == text


@pytest.mark.bad_input
@given(
    message=st.text(st.characters(min_codepoint=0x100, max_codepoint=0x17F), min_size=3),
    status=st.sampled_from([400, 401, 403, 404, 429, 500]),
    shape=st.sampled_from([("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")]),
    nested=st.booleans(),
)
def test_the_clouds_message_is_left_out(message: str, status: int, shape: tuple[str, str], nested: bool) -> None:
    """The message may name a person, so neither the text nor the repr of an error contains it."""
    error = {shape[0]: "WKS.1", shape[1]: message, "title": message}
    body = msgspec.json.encode({"error": error} if nested else error)
    raised = refusal("ListUsers", status, bodies.error_code(body), None)
    assert raised.error_code == "WKS.1"
    assert message not in str(raised) + repr(raised) + repr(vars(raised))


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["User anna.private@corp is locked", "x" * 65, "a\nb", "", "WKS.1;"])
def test_a_text_that_is_no_code_is_not_repeated(text: str) -> None:
    """A code or an id is short and has few kinds of characters. Other texts may contain a person's name."""
    error = refusal("ListUsers", 500, text, text)
    assert (error.error_code, error.request_id) == ("unreadable", "unreadable")


@pytest.mark.parametrize("text", ["WKS.00010404", "APIG.0308", "IAM.0101", "400", "a3f0-9_c", None])
def test_codes_and_ids_are_kept(text: str | None) -> None:
    error = refusal("ListUsers", 500, text, text)
    assert (error.error_code, error.request_id) == (text, text)
