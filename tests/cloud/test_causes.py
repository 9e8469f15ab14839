"""The words for a missing permission name the IAM action, and what is missed without it."""

from __future__ import annotations

import pytest

from exporter.cloud.causes import explain, is_dispensable
from exporter.cloud.client import IAM_ACTIONS, LIST_SERVER_GROUPS, LIST_SERVERS, LIST_SESSIONS
from exporter.cloud.errors import CloudError, Forbidden, Intercepted, NotFound, Refused, Throttled, Unreachable

OPTIONAL = (LIST_SESSIONS, LIST_SERVERS, LIST_SERVER_GROUPS)


@pytest.mark.parametrize(("operation", "action"), IAM_ACTIONS.items())
@pytest.mark.parametrize("code", ["WKS.00010403", "APIG.0302", None])
def test_a_missing_permission_is_named_by_its_action(operation: str, action: str, code: str | None) -> None:
    cause = explain(Forbidden(operation, "403", error_code=code, request_id="request-1"))
    assert cause.what.startswith(f"{action} is ")
    assert "give the IAM user the policy" in cause.remedy
    assert ("; without it, " in cause.what) == (operation in OPTIONAL)


@pytest.mark.parametrize("operation", OPTIONAL)
@pytest.mark.parametrize("kind", [Refused, NotFound])
def test_an_optional_operation_that_the_host_does_not_have_is_dispensable(operation: str, kind: type[Refused]) -> None:
    error = kind(operation, "404")
    assert is_dispensable(error)
    assert "this host has no such API" in explain(error).what
    assert "; without it, " in explain(error).what


@pytest.mark.parametrize(
    "error",
    [
        Refused(LIST_SERVERS, "503"),
        Throttled(LIST_SERVERS, "429"),
        Unreachable(LIST_SERVERS, "timeout"),
        Intercepted(LIST_SERVERS, "403", by="the proxy 10.0.0.1:3128", status=403),
        Forbidden("ListUsers", "403"),
    ],
    ids=repr,
)
def test_other_errors_are_not_dispensable(error: CloudError) -> None:
    assert not is_dispensable(error)
    assert "without it" not in explain(error).what
