"""Temporary keys for the tokens of others: of an OIDC provider, an identity provider, an ECS and a pod.

Sources: the API references of STS (AssumeAgencyWithOIDC), IAM (CreateTokenWithIdToken, CreateTemporaryAccessKeyByToken)
and CCE (AssumeAgencyForPodIdentity), and the metadata service in the user guide of ECS. Each spells a key its own way.
The error codes of STS and of the agent are undocumented: only their form is right.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import msgspec

from exporter.simulator.identity import TIME, Identity, TemporaryKey, Tokens
from exporter.simulator.schema import ApiError, GatewayError, IamError, Request, Response, json_response, utc
from exporter.simulator.simulation import HOUR

POD_KEY_LIFETIME = 6 * HOUR
DEFAULT_DURATION = 900  # seconds, of a key by token
DURATION_OF_AGENCY = range(900, 12 * 3600 + 1)
DURATION_BY_TOKEN = range(900, 24 * 3600 + 1)


class Federation:
    """What the identity of an account grants to tokens of others. `unscoped` tokens are good for nothing but keys."""

    def __init__(self, identity: Identity, seed: int) -> None:
        self._identity = identity
        self._unscoped = Tokens(seed, kind="unscoped token")

    def assume_agency(self, request: Request, now: float) -> Response:
        """Return the agency's keys, as STS does; raise a 400 for a wrong body or token, a 403 for another agency."""
        account = self._identity.account
        with _malformed(ApiError(HTTPStatus.BAD_REQUEST, "STS.0400", "Invalid request body.")):
            body = msgspec.json.decode(request.body)
            agency, session = (body["provider_urn"], body["agency_urn"]), body["agency_session_name"]
            duration = body.get("duration_seconds", 3600)
            wrong = not session or type(duration) is not int or duration not in DURATION_OF_AGENCY
        if wrong:
            raise ApiError(HTTPStatus.BAD_REQUEST, "STS.0400", "Invalid duration_seconds or agency_session_name.")
        if agency != (account.provider_urn, account.agency_urn):
            raise ApiError(HTTPStatus.FORBIDDEN, "STS.0403", "The agency cannot be assumed.")
        if body.get("id_token") != account.id_token:
            raise ApiError(HTTPStatus.BAD_REQUEST, "STS.0401", "Invalid id_token.")
        key = self._identity.issue_key(now, duration)
        keys = {
            "access_key_id": key.access,
            "secret_access_key": key.secret,
            "security_token": key.security_token,
            "expiration": f"{utc(key.expires, TIME)[:-4]}Z",  # milliseconds
        }
        assumed = {"urn": f"{account.agency_urn}/{session}", "id": f"0123456789:{session}"}
        return json_response({"assumed_agency": assumed, "credentials": keys, "provider": account.provider_urn})

    def create_token(self, request: Request, now: float) -> Response:
        """Return an unscoped token for an ID token, as IAM does; raise a 400 or a 401."""
        account = self._identity.account
        with _malformed(IamError(HTTPStatus.BAD_REQUEST, "Request body is invalid.")):
            id_token = msgspec.json.decode(request.body)["auth"]["id_token"]["id"]
        if (request.header("X-Idp-Id"), id_token) != (account.idp_id, account.id_token):
            raise IamError(HTTPStatus.UNAUTHORIZED, "The ID token or the identity provider is invalid.")
        token, expires = self._unscoped.issue(now)
        described = {"expires_at": utc(expires, TIME), "issued_at": utc(now, TIME), "methods": ["mapped"]}
        return json_response({"token": described}, HTTPStatus.CREATED, **{"X-Subject-Token": token})

    def create_key(self, request: Request, now: float) -> Response:
        """Return a temporary key for a token, scoped or not, as IAM does; raise a 400 or a 401."""
        with _malformed(IamError(HTTPStatus.BAD_REQUEST, "Request body is invalid.")):
            identity = msgspec.json.decode(request.body)["auth"]["identity"]
            given = identity.get("token", {})
            token = request.header("X-Auth-Token") or given.get("id")
            duration = int(given.get("duration_seconds", DEFAULT_DURATION))
            wrong = identity["methods"] != ["token"] or duration not in DURATION_BY_TOKEN
        if wrong:
            raise IamError(HTTPStatus.BAD_REQUEST, "The methods or duration_seconds are invalid.")
        if not any(tokens.valid(token, now) for tokens in (self._unscoped, self._identity.tokens)):
            raise IamError(HTTPStatus.UNAUTHORIZED, "The token must be updated.")
        return _credential(self._identity.issue_key(now, duration), HTTPStatus.CREATED)

    def key_of_ecs(self, now: float) -> Response:
        """Return the newest key of an ECS with an agency, as the metadata service does."""
        return _credential(self._identity.rotating_key(now), HTTPStatus.OK)

    def key_of_pod(self, request: Request, now: float) -> Response:
        """Return a key of the agency of a pod, as the agent of a CCE cluster does; raise a 401."""
        if request.header("Authorization") != self._identity.account.pod_token or request.body != b"{}":
            raise GatewayError(HTTPStatus.UNAUTHORIZED, "CCE.01401001", "The token of the service account is invalid.")
        key = self._identity.issue_key(now, POD_KEY_LIFETIME)
        names = {"accessKeyId": key.access, "secretAccessKey": key.secret, "securityToken": key.security_token}
        return json_response({"credentials": {**names, "expiration": utc(key.expires, TIME)}, "audience": "pod"})


def _credential(key: TemporaryKey, status: int) -> Response:
    names = {"access": key.access, "secret": key.secret, "securitytoken": key.security_token}
    return json_response({"credential": {**names, "expires_at": utc(key.expires, TIME)}}, status)


@contextmanager
def _malformed(error: ApiError) -> Iterator[None]:
    """Raise this error if a body has another form than the block expects."""
    try:
        yield
    except (msgspec.DecodeError, AttributeError, LookupError, TypeError, ValueError) as cause:
        raise error from cause
