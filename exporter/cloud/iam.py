"""KeystoneCreateUserTokenByPassword: a token for a project, by user and password."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from exporter.cloud import bodies, models
from exporter.cloud.auth import Token
from exporter.cloud.credentials import Lease
from exporter.cloud.errors import NoCredentials
from exporter.cloud.transport import Answer, Request, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATION = "KeystoneCreateUserTokenByPassword"


@dataclass(frozen=True)
class IamUser:
    """An IAM user of an account (``domain``), and the project that its tokens are for."""

    endpoint: str
    domain: str
    username: str
    password: Callable[[], str] = field(repr=False)
    project_id: str

    async def lend(self, transport: Transport) -> Lease:
        """A new token. Raises CloudError."""
        request = Request(
            operation=OPERATION,
            method="POST",
            endpoint=self.endpoint,
            path="/v3/auth/tokens",
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(self._question()),
        )
        return await transport.send(request, _lease)

    def _question(self) -> dict[str, object]:
        try:
            password = self.password()
        except (OSError, ValueError) as error:
            raise NoCredentials(OPERATION, "unreadable", detail=str(error)) from error
        user = {"name": self.username, "password": password, "domain": {"name": self.domain}}
        return {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"id": self.project_id}},
            }
        }


def _lease(answer: Answer) -> Lease:
    token = answer.headers.get("X-Subject-Token")
    if not token:
        raise bodies.ErrorBody(None)
    return Lease(Token(token), seconds(models.token_expiry(answer.body)))


def seconds(timestamp: str) -> float:
    """Seconds since 1970 of a time like ``2026-01-02T03:04:05.000000Z``. Raises bodies.ErrorBody."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise bodies.ErrorBody(None) from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
