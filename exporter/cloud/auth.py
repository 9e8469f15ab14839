"""What proves to the cloud who is asking: values that turn a request into its authentication headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.cloud.signer import signature_headers

if TYPE_CHECKING:
    from exporter.cloud.transport import Request


@dataclass(frozen=True, slots=True)
class Token:
    """A token of IAM."""

    value: str = field(repr=False)

    def headers(self, request: Request, now: float) -> dict[str, str]:  # noqa: ARG002 - same shape as AccessKey's
        """Headers to send with ``request``."""
        return {**request.headers, "X-Auth-Token": self.value}


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key with its secret key; temporary ones come with a security token."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def headers(self, request: Request, now: float) -> dict[str, str]:
        """Headers to send with ``request``, signed for ``now`` in seconds since 1970."""
        headers = {**request.headers, "Host": request.host}
        if self.security_token:
            headers["X-Security-Token"] = self.security_token
        headers |= signature_headers(
            request.method,
            request.full_path,
            request.query,
            headers,
            request.body,
            access_key=self.access_key,
            secret_key=self.secret_key,
            now=now,
        )
        return headers


Auth = Token | AccessKey
