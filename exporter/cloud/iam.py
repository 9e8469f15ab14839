"""KeystoneCreateUserTokenByPassword: a token for a project, by user name and password."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from exporter.cloud.auth import Token
from exporter.cloud.bodies import ErrorBody
from exporter.cloud.credentials import TemporaryCredentials
from exporter.cloud.errors import NoCredentials
from exporter.cloud.models import token_expiry
from exporter.cloud.transport import Answer, Request, Transport

OPERATION = "KeystoneCreateUserTokenByPassword"


@dataclass(frozen=True)
class IamUser:
    """An IAM user of an account (``domain``), and the project that the tokens are for."""

    endpoint: str
    domain: str
    username: str
    password: Callable[[], str] = field(repr=False)
    project_id: str

    async def token(self, transport: Transport) -> TemporaryCredentials:
        """Request a new token. Raises CloudError."""
        request = Request(
            operation=OPERATION,
            method="POST",
            endpoint=self.endpoint,
            path="/v3/auth/tokens",
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(self._body()),
        )
        return await transport.send(request, _granted)

    def _body(self) -> dict[str, object]:
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


def _granted(answer: Answer) -> TemporaryCredentials:
    token = answer.headers.get("X-Subject-Token")
    if not token:
        raise ErrorBody(None)
    return TemporaryCredentials(Token(token), seconds(token_expiry(answer.body)))


def seconds(timestamp: str) -> float:
    """Return seconds since 1970 of a time like ``2026-01-02T03:04:05.000000Z``. Raises ErrorBody."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise ErrorBody(None) from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
