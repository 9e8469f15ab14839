"""IAM's token operation and the ECS metadata service's temporary keys."""

from http import HTTPStatus

import msgspec

from exporter.simulator.credentials import DEMO_REGION, Account, Tokens, living_temporary_keys
from exporter.simulator.errors import IamError
from exporter.simulator.messages import Answer, Request
from exporter.simulator.schema import token_time


class Named(msgspec.Struct):
    """A domain or a project, by name or id."""

    name: str | None = None
    id: str | None = None


class IamUser(msgspec.Struct):
    """An IAM user with the password."""

    name: str
    password: str
    domain: Named


class Password(msgspec.Struct):
    """The password method's parameters."""

    user: IamUser


class Identity(msgspec.Struct):
    """Who wants a token, and how that is proved."""

    methods: list[str]
    password: Password


class Scope(msgspec.Struct):
    """What the token is to be good for."""

    project: Named


class Auth(msgspec.Struct):
    """The parameter `auth`."""

    identity: Identity
    scope: Scope


class TokenRequest(msgspec.Struct):
    """The body of KeystoneCreateUserTokenByPassword."""

    auth: Auth


def create_token(request: Request, account: Account, tokens: Tokens, now: float) -> Answer:
    """A new token for the account's IAM user.

    Raises:
        IamError: 400 for a malformed body, 401 for a wrong user, domain, password or project.
    """
    try:
        auth = msgspec.json.decode(request.body, type=TokenRequest).auth
    except msgspec.MsgspecError as error:
        raise IamError(HTTPStatus.BAD_REQUEST, f"Request body is invalid: {error}") from error
    user = auth.identity.password.user
    if (user.name, user.domain.name, user.password) != (account.username, account.domain, account.password):
        raise IamError(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
    if auth.scope.project.id not in (None, account.project_id):
        raise IamError(HTTPStatus.UNAUTHORIZED, "The user has no role in the project.")
    token, expires = tokens.issue(now)
    project = {"id": account.project_id, "name": auth.scope.project.name or DEMO_REGION}
    described = {
        "expires_at": token_time(expires),
        "issued_at": token_time(now),
        "methods": ["password"],
        "catalog": [],
        "roles": [{"id": "0", "name": "Workspace ReadOnlyAccess"}],
        "project": project | {"domain": {"name": account.domain}},
        "user": {"name": account.username, "domain": {"name": account.domain}},
    }
    return Answer(HTTPStatus.CREATED, msgspec.json.encode({"token": described}), {"X-Subject-Token": token})


def security_key(seed: int, now: float) -> Answer:
    """The temporary key that an ECS gets for its agency."""
    key = living_temporary_keys(seed, now)[0]
    credential = {
        "access": key.access,
        "secret": key.secret,
        "securitytoken": key.security_token,
        "expires_at": token_time(key.expires),
    }
    return Answer(HTTPStatus.OK, msgspec.json.encode({"credential": credential}))
