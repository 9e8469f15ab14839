"""From settings to a client: which hosts, which credentials, which proxy."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import config
from exporter.cloud import chain, metadata, regions
from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.client import Client, Endpoints
from exporter.cloud.credentials import Credentials, Kept, Lease, Leased
from exporter.cloud.errors import CloudError, NoCredentials
from exporter.cloud.iam import IamUser
from exporter.cloud.renewal_log import RenewalLog
from exporter.cloud.transport import Transport, proxy_from_environment
from exporter.secrets import secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.cloud.telemetry import Telemetry


def lockable(auth: config.Auth) -> object:
    """What the cloud would lock after too many refusals: a key or an account, which projects may share.

    Raises:
        OSError: a file with the access key's id cannot be read.
        ValueError: it is no text.
    """
    if access_key := secret(auth.access_key, auth.access_key_file):
        return "access key", access_key()
    if auth.username:
        return "user", auth.domain, auth.username
    return auth


@dataclass(frozen=True)
class Terms:
    """All that a connection follows from: where they are equal, a connection may stay as it is."""

    project: config.Project
    """Without its users."""
    http: config.Http
    timeout: float
    concurrency: int
    tls: ssl.SSLContext
    link: chain.Link | None
    """Where the keys come from when the project names none; None where that is left to the ECS."""

    @classmethod
    def of(cls, project: config.Project, settings: config.Settings, tls: ssl.SSLContext) -> Terms:
        """The terms for a project. Raises ValueError and OSError where the SDK's credentials file is of no use."""
        return cls(
            project=project.model_copy(update={"users": (), "users_file": None}),
            http=settings.http,
            timeout=settings.poll.timeout,
            concurrency=settings.poll.concurrency,
            tls=tls,
            link=chain.first_link(os.environ) if project.auth == config.Auth() else None,
        )


@dataclass(frozen=True, eq=False)
class Connection:
    """A project's line to the cloud, with what there is to know about it."""

    client: Client
    credentials: Credentials
    telemetry: Telemetry
    close: Callable[[], Awaitable[None]]


def connect(terms: Terms, now: Callable[[], float], telemetry: Telemetry | None = None) -> Connection:
    """A connection, which its owner has to close. Nothing is asked before the first call.

    ``telemetry`` is counted on; a new one where there is none.
    """
    transport = Transport(
        timeout=terms.timeout,
        connections=terms.concurrency,
        proxy_for=proxy_for(terms.http, terms.project),
        tls=terms.tls,
        now=now,
    )
    if telemetry:
        transport.telemetry = telemetry
    credentials = _credentials(terms, transport)
    client = Client(terms.project.project_id, _endpoints(terms.project), credentials, transport)
    return Connection(client, credentials, transport.telemetry, transport.close)


@asynccontextmanager
async def connected(
    project: config.Project, settings: config.Settings, tls: ssl.SSLContext, now: Callable[[], float]
) -> AsyncIterator[Connection]:
    """A connection for as long as the context lasts. Raises ValueError and OSError as :meth:`Terms.of` does."""
    connection = connect(Terms.of(project, settings, tls), now)
    try:
        yield connection
    finally:
        await connection.close()


def _endpoints(project: config.Project) -> Endpoints:
    given, region = project.endpoints, project.region
    return Endpoints(
        sessions=given.sessions or regions.sessions_endpoint(region or ""),
        users=given.users or regions.users_endpoint(region or ""),
    )


def proxy_for(http: config.Http, project: config.Project) -> Callable[[str], str | None]:
    """The proxy to an endpoint, with its password if it has one; None where there is none."""
    given = http.proxy.get_secret_value() if http.proxy else None

    def proxy_to(endpoint: str) -> str | None:
        if endpoint == project.endpoints.metadata:  # link-local: nothing but the ECS itself reaches it
            return None
        return given or proxy_from_environment(endpoint)

    return proxy_to


def _credentials(terms: Terms, transport: Transport) -> Credentials:
    project, auth = terms.project, terms.project.auth
    log = RenewalLog(str(project.name))
    if token := secret(auth.token, auth.token_file):
        return Kept(lambda: Token(token()))
    if user := _iam_user(project):
        return Leased(lambda: user.lend(transport), transport.now, log, user.password)
    if key := _access_key(auth):
        return Kept(key)
    if terms.link:
        return Kept(terms.link.read)
    return Leased(lambda: _last_resort(project, transport), transport.now, log)


async def _last_resort(project: config.Project, transport: Transport) -> Lease:
    """Keys from the ECS's metadata service; where that fails, what most likely is wrong is said in so many words."""
    try:
        return await metadata.lend(project.endpoints.metadata, transport)
    except CloudError as error:
        detail = f"no auth is configured, the SDK's environment and file have no keys, and no ECS gives any ({error})"
        raise NoCredentials(error.operation, "no_credentials", detail=detail) from error


def _iam_user(project: config.Project) -> IamUser | None:
    auth = project.auth
    password = secret(auth.password, auth.password_file)
    if not (auth.username and auth.domain and password):
        return None
    endpoint = project.endpoints.iam or regions.iam_endpoint(project.region or "")
    return IamUser(endpoint, auth.domain, auth.username, password, project.project_id)


def _access_key(auth: config.Auth) -> Callable[[], AccessKey] | None:
    access_key = secret(auth.access_key, auth.access_key_file)
    secret_key = secret(auth.secret_key, auth.secret_key_file)
    if not (access_key and secret_key):
        return None
    security_token = secret(auth.security_token, auth.security_token_file)
    return lambda: AccessKey(access_key(), secret_key(), security_token() if security_token else None)
