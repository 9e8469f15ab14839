"""A manual clock and clients of the official SDK."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkworkspace.v2 import WorkspaceClient
from huaweicloudsdkworkspaceapp.v1 import WorkspaceAppClient

from exporter.simulator import DEMO_ACCESS_KEY, DEMO_PROJECT_ID, DEMO_SECRET_KEY


@dataclass
class Clock:
    """A wall clock in seconds that a test moves."""

    now: float

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@dataclass(frozen=True)
class Sdk:
    """The official SDK's two clients."""

    sessions: Any
    users: Any


ConnectSdk = Callable[..., Sdk]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stops at the real time, because the SDK signs with that."""
    return Clock(float(int(time.time())))


@pytest.fixture
def connect_sdk() -> Iterator[ConnectSdk]:
    """Return a function that makes SDK clients for a URL, and close them after the test."""
    clients: list[Any] = []

    def connect(
        url: str,
        access_key: str = DEMO_ACCESS_KEY,
        secret_key: str = DEMO_SECRET_KEY,
        project_id: str = DEMO_PROJECT_ID,
        security_token: str | None = None,
    ) -> Sdk:
        credentials = BasicCredentials(access_key, secret_key, project_id)
        if security_token is not None:
            credentials = credentials.with_security_token(security_token)
        made = [
            kind.new_builder().with_credentials(credentials).with_endpoint(url).build()
            for kind in (WorkspaceAppClient, WorkspaceClient)
        ]
        clients.extend(made)
        return Sdk(*made)

    yield connect
    for client in clients:
        client.close()
