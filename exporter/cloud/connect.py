"""From settings to a client: hosts, credentials and proxy."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.bodies import ByteBudget
from exporter.cloud.client import Client, Endpoints
from exporter.cloud.credentials import Credentials, Lockout, RenewedCredentials, StaticCredentials
from exporter.cloud.sources import IamUser, Link, first_link, keys_from_metadata
from exporter.cloud.telemetry import Telemetry
from exporter.cloud.transport import Transport, proxy_from_environment
from exporter.config import Auth, Http, Project, Settings
from exporter.files import secret

# Regions where Workspace Application Streaming has its own host.
_APPSTREAM_REGIONS = frozenset({"cn-north-4", "cn-north-9", "cn-east-3", "cn-south-1", "cn-southwest-2"})


def sessions_endpoint(region: str) -> str:
    """Return the address of Workspace Application Streaming, which serves the sessions."""
    service = "appstream" if region in _APPSTREAM_REGIONS else "workspace"
    return f"https://{service}.{region}.myhuaweicloud.com"


def users_endpoint(region: str) -> str:
    """Return the address of Workspace, which serves the users."""
    return f"https://workspace.{region}.myhuaweicloud.com"


def iam_endpoint(region: str) -> str:
    """Return the address of IAM, which issues tokens."""
    return f"https://iam.{region}.myhuaweicloud.com"


def lockout_key(auth: Auth) -> object:
    """Return what the cloud would lock after too many rejections: a key or an account. Projects may share it.

    Raises:
        OSError: a file with the access key's id cannot be read.
        ValueError: it is not text.
    """
    if access_key := secret(auth.access_key, auth.access_key_file):
        return "access key", access_key()
    if auth.username:
        return "user", auth.domain, auth.username
    return auth


@dataclass(frozen=True)
class ConnectionSpec:
    """Everything a connection follows from. Equal specs mean that a connection can be kept."""

    project: Project  # without its users
    http: Http
    timeout: float
    tls: ssl.SSLContext
    link: Link | None  # where the keys come from if the project names none; None if that is left to the ECS

    @classmethod
    def of(cls, project: Project, settings: Settings, tls: ssl.SSLContext) -> ConnectionSpec:
        """Return the spec of a project. Raises ValueError and OSError for an unusable SDK credentials file."""
        return cls(
            project=project.without_users(),
            http=settings.http,
            timeout=settings.poll_of(project).timeout,
            tls=tls,
            link=first_link(os.environ) if project.auth == Auth() else None,
        )


@dataclass(frozen=True, eq=False)
class Connection:
    """A project's connection to the cloud."""

    client: Client
    credentials: Credentials
    telemetry: Telemetry
    timeout: float  # seconds after which a request has ended
    close: Callable[[], Awaitable[None]]


def connect(
    spec: ConnectionSpec,
    now: Callable[[], float],
    lockout: Lockout,
    budget: ByteBudget,
    telemetry: Telemetry | None = None,
) -> Connection:
    """Return a connection, which its owner has to close. No request is sent before the first operation.

    ``telemetry`` counts the requests; a new one if there is none.
    """
    proxy = proxy_for(spec.http, spec.project)
    transport = Transport(timeout=spec.timeout, proxy_for=proxy, tls=spec.tls, now=now, budget=budget)
    if telemetry:
        transport.telemetry = telemetry
    credentials = _credentials(spec, transport, lockout)
    client = Client(spec.project.project_id, endpoints_of(spec.project), credentials, transport)
    return Connection(client, credentials, transport.telemetry, spec.timeout, transport.close)


@asynccontextmanager
async def connected(
    project: Project, settings: Settings, tls: ssl.SSLContext, now: Callable[[], float], lockout: Lockout
) -> AsyncIterator[Connection]:
    """Provide a connection for as long as the context lasts. Raises what :meth:`ConnectionSpec.of` does."""
    connection = connect(ConnectionSpec.of(project, settings, tls), now, lockout, ByteBudget())
    try:
        yield connection
    finally:
        await connection.close()


def endpoints_of(project: Project) -> Endpoints:
    """Return the base addresses of a project's services."""
    configured, region = project.endpoints, project.region or ""
    return Endpoints(
        sessions=configured.sessions or sessions_endpoint(region), users=configured.users or users_endpoint(region)
    )


def proxy_for(http: Http, project: Project) -> Callable[[str], str | None]:
    """Return a function from an endpoint to its proxy, with its password if it has one; None without a proxy."""
    configured = http.proxy.get_secret_value() if http.proxy else None

    def proxy_to(endpoint: str) -> str | None:
        if endpoint == project.endpoints.metadata:  # link-local: only the ECS itself reaches it
            return None
        return configured or proxy_from_environment(endpoint)

    return proxy_to


def _credentials(spec: ConnectionSpec, transport: Transport, lockout: Lockout) -> Credentials:
    project, auth = spec.project, spec.project.auth
    name = str(project.name)
    if token := secret(auth.token, auth.token_file):
        return StaticCredentials(lambda: Token(token()))
    if user := _iam_user(project):
        return RenewedCredentials(lambda: user.token(transport), transport.now, name, lockout, user.password)
    if key := _access_key(auth):
        return StaticCredentials(key)
    if spec.link:
        return StaticCredentials(spec.link.read)
    metadata = project.endpoints.metadata
    return RenewedCredentials(lambda: keys_from_metadata(metadata, transport), transport.now, name, lockout)


def _iam_user(project: Project) -> IamUser | None:
    auth = project.auth
    password = secret(auth.password, auth.password_file)
    if not (auth.username and auth.domain and password):
        return None
    endpoint = project.endpoints.iam or iam_endpoint(project.region or "")
    return IamUser(endpoint, auth.domain, auth.username, password, project.project_id)


def _access_key(auth: Auth) -> Callable[[], AccessKey] | None:
    access_key = secret(auth.access_key, auth.access_key_file)
    secret_key = secret(auth.secret_key, auth.secret_key_file)
    if not (access_key and secret_key):
        return None
    security_token = secret(auth.security_token, auth.security_token_file)
    return lambda: AccessKey(access_key(), secret_key(), security_token() if security_token else None)
