"""Temporary keys of an ECS with an agency, from its metadata service."""

from __future__ import annotations

from exporter.cloud import bodies, models
from exporter.cloud.auth import AccessKey
from exporter.cloud.credentials import Lease
from exporter.cloud.errors import CloudError
from exporter.cloud.iam import seconds
from exporter.cloud.transport import Answer, Request, Transport

OPERATION = "GetSecurityKey"

_TOKEN_HEADER = "X-Metadata-Token"  # noqa: S105 - a header's name
_TOKEN_SECONDS = 60  # a token serves the one question that follows it


async def lend(endpoint: str, transport: Transport) -> Lease:
    """Temporary keys, asked for as the official SDK does: with a session's token where the service gives one.

    Raises:
        CloudError: the service is out of reach, or the ECS has no agency.
    """
    request = Request(
        operation=OPERATION,
        method="GET",
        endpoint=endpoint,
        path="/openstack/latest/securitykey",
        headers=await _session_headers(endpoint, transport),
    )
    return await transport.send(request, _lease)


async def _session_headers(endpoint: str, transport: Transport) -> dict[str, str]:
    request = Request(
        operation=OPERATION,
        method="PUT",
        endpoint=endpoint,
        path="/meta-data/latest/api/token",
        headers={f"{_TOKEN_HEADER}-Ttl-Seconds": str(_TOKEN_SECONDS)},
    )
    try:
        token = await transport.send(request, _token)
    except CloudError:  # older ECS know only the question without a token
        return {}
    return {_TOKEN_HEADER: token}


def _token(answer: Answer) -> str:
    token = answer.body.decode("ascii").strip()
    if not (token and token.isprintable()):  # what answers everything with a page
        raise bodies.ErrorBody(None)
    return token


def _lease(answer: Answer) -> Lease:
    key = models.security_key(answer.body)
    return Lease(AccessKey(key.access, key.secret, key.securitytoken), seconds(key.expires_at))
