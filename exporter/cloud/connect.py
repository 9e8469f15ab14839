"""From settings to a client: hosts, credentials and proxy."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.bodies import ByteBudget
from exporter.cloud.chain import (
    IAM_VARIABLE,
    STS_VARIABLE,
    AgencyLink,
    IdTokenLink,
    KeysLink,
    Link,
    OidcLink,
    endpoint_variable,
    find_link,
)
from exporter.cloud.client import Client, Endpoints
from exporter.cloud.credentials import (
    Credentials,
    Lockout,
    RenewedCredentials,
    StaticCredentials,
    TemporaryCredentials,
)
from exporter.cloud.proxy import Proxy, proxy_from_environment
from exporter.cloud.sources import Agency, IamUser, keys_by_id_token, keys_by_oidc
from exporter.cloud.telemetry import Telemetry
from exporter.cloud.transport import Transport
from exporter.config import Auth, Http, Project, Settings
from exporter.files import secret

# Regions where Workspace Application Streaming has its own host.
_APPSTREAM_REGIONS = frozenset({"cn-north-4", "cn-north-9", "cn-east-3", "cn-south-1", "cn-southwest-2"})
# Huawei Cloud's European site has IAM and STS of its own. Workspace has the same domain everywhere.
_EUROPEAN_SITE = "eu-west-1"


def sessions_endpoint(region: str) -> str:
    """Return the address of Workspace Application Streaming, which serves the sessions."""
    service = "appstream" if region in _APPSTREAM_REGIONS else "workspace"
    return f"https://{service}.{region}.myhuaweicloud.com"


def users_endpoint(region: str) -> str:
    """Return the address of Workspace, which serves the users."""
    return f"https://workspace.{region}.myhuaweicloud.com"


def iam_endpoint(region: str) -> str:
    """Return the address of IAM, which issues tokens."""
    return f"https://iam.{region}.{_identity_domain(region)}"


def sts_endpoint(region: str) -> str:
    """Return the address of STS, which grants agencies."""
    return f"https://sts.{region}.{_identity_domain(region)}"


def _identity_domain(region: str) -> str:
    return "myhuaweicloud.eu" if region.startswith(_EUROPEAN_SITE) else "myhuaweicloud.com"


def sdk_link(project: Project, environ: Mapping[str, str] = os.environ) -> Link | None:
    """Return the link of the SDK's chain that a project uses; None if its own ``auth`` is set. Raises ValueError."""
    return find_link(environ) if project.auth == Auth() else None


def issuer_of(project: Project, link: Link | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the address of IAM or STS if it issues a project's credentials, or None.

    Raises:
        ValueError: the address is unknown, or the SDK's variable for it does not hold one.
    """
    match link:
        case OidcLink():
            configured, variable, default = None, STS_VARIABLE, sts_endpoint
        case IdTokenLink():
            configured, variable, default = project.endpoints.iam or link.iam, IAM_VARIABLE, iam_endpoint
        case None if project.auth.username:
            configured, variable, default = project.endpoints.iam, IAM_VARIABLE, iam_endpoint
        case _:
            return None
    address = configured or endpoint_variable(environ, variable) or (project.region and default(project.region))
    if not address:
        raise ValueError(f"project {project.name} needs region, or {variable} in the environment")
    return address


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

    project: Project  # without all that the connection does not depend on
    http: Http
    timeout: float
    tls: ssl.SSLContext
    link: Link | None  # of the SDK's chain; None if the project's own `auth` is set
    issuer: str | None = None  # address of IAM or STS, if it issues the credentials

    @classmethod
    def of(cls, project: Project, settings: Settings, tls: ssl.SSLContext) -> ConnectionSpec:
        """Return the spec of a project. Raises ValueError if the SDK's chain is half configured."""
        link = sdk_link(project)
        return cls(
            project=project.of_connection(),
            http=settings.http,
            timeout=settings.poll_of(project).timeout,
            tls=tls,
            link=link,
            issuer=issuer_of(project, link),
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
    proxy = proxy_for(spec.http, spec.project, spec.link)
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


def proxy_for(http: Http, project: Project, link: Link | None) -> Callable[[str], Proxy | None]:
    """Return a function from an endpoint to its proxy; None without a proxy.

    A configured proxy serves every endpoint, whatever NO_PROXY lists. The function raises UnusableProxyError if the
    environment names a proxy that cannot be used.
    """
    configured = Proxy.of(http.proxy.get_secret_value()) if http.proxy else None
    # Only the ECS or the pod itself reaches these.
    direct = {project.endpoints.metadata}
    if isinstance(link, AgencyLink) and link.pod:
        direct.add(link.pod.endpoint)

    def proxy_to(endpoint: str) -> Proxy | None:
        return None if endpoint in direct else configured or proxy_from_environment(endpoint)

    return proxy_to


def check_proxies(spec: ConnectionSpec) -> None:
    """Raise UnusableProxyError if an endpoint would be reached by a proxy of the environment that cannot be used."""
    proxy_to, services = proxy_for(spec.http, spec.project, spec.link), endpoints_of(spec.project)
    for endpoint in filter(None, (services.sessions, services.users, spec.issuer)):
        proxy_to(endpoint)


def _credentials(spec: ConnectionSpec, transport: Transport, lockout: Lockout) -> Credentials:
    project, auth, issuer = spec.project, spec.project.auth, spec.issuer or ""

    def renewed(
        obtain: Callable[[], Awaitable[TemporaryCredentials]], secret: Callable[[], object]
    ) -> RenewedCredentials:
        return RenewedCredentials(obtain, transport.now, str(project.name), lockout, secret)

    match spec.link:
        case KeysLink() as link:
            return StaticCredentials(link.read)
        case OidcLink() as link:
            return renewed(partial(keys_by_oidc, link, issuer, transport), link.id_token)
        case IdTokenLink() as link:
            return renewed(partial(keys_by_id_token, link, issuer, transport), link.id_token)
        case AgencyLink() as link:
            agency = Agency(link, project.endpoints.metadata, transport)
            return renewed(agency.keys, agency.secret)
    password = secret(auth.password, auth.password_file)
    if auth.username and auth.domain and password:
        user = IamUser(issuer, auth.domain, auth.username, password, project.project_id)
        return renewed(partial(user.token, transport), password)
    return StaticCredentials(_token_or_key(auth))


def _token_or_key(auth: Auth) -> Callable[[], Token | AccessKey]:
    if token := secret(auth.token, auth.token_file):
        return lambda: Token(token())
    access_key = secret(auth.access_key, auth.access_key_file)
    secret_key = secret(auth.secret_key, auth.secret_key_file)
    security_token = secret(auth.security_token, auth.security_token_file)
    assert access_key
    assert secret_key  # as the configuration's rules require
    return lambda: AccessKey(access_key(), secret_key(), security_token() if security_token else None)
