"""How a project authenticates, and the words for what becomes of its credentials. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from exporter.cloud.causes import explain, facts
from exporter.cloud.chain import AgencyLink, IdTokenLink, KeysLink, Link, OidcLink
from exporter.cloud.errors import CloudError, Forbidden, NoCredentials, NotFound, Unauthorized
from exporter.config import Project
from exporter.doctor.endpoints import METADATA
from exporter.doctor.findings import CREDENTIALS, Finding, NotQueried, fail, ok, skip, warn

POD = "pod identity"

_CHAIN = "(the SDK's chain)"
_AGENCY_OF_POD = "the agency of this pod by HC_CONTAINER_CREDENTIALS_FULL_URI"
_AGENCY_OF_EITHER = "the agency of this ECS, or of this pod by HC_CONTAINER_CREDENTIALS_FULL_URI"
_REMEDY_UNREADABLE = "check that the file exists, that the exporter's user may read it, and that it is text"
_REMEDY_EXPIRES = "it expires within 24 hours of issue: use a file that is kept up to date, or an access key"
_REMEDY_NOTHING = (
    "set auth, or give this ECS an agency. Other links of the SDK's chain begin with HUAWEICLOUD_OIDC_PROVIDER_URN, "
    "HUAWEICLOUD_SDK_IDP_ID, HUAWEICLOUD_SDK_AK, ~/.huaweicloud/credentials or HC_CONTAINER_CREDENTIALS_FULL_URI, "
    "and none of these is set"
)
_REMEDY_STS = "if the region has no STS of its own, set HUAWEICLOUD_SDK_STS_ENDPOINT to that of another region"

Kind = Literal["access key", "token", "iam", "oidc", "id token", "agency"]

_REMEDY_REJECTED: dict[Kind, str] = {
    "access key": "check that the secret key belongs to the access key, and that the key is enabled in IAM. A clock "
    "more than 15m off is rejected, too. More than 5 wrong signatures lock a key for 5 minutes: stop the exporter and "
    "everything else that uses a wrong key, and wait",
    "token": "create a new one: a token lives for 24 hours, ends when the user's password or permissions change, "
    "and is for one project",
    "iam": "the service rejects a token that IAM has just issued: check that endpoints and region belong together",
    "oidc": "check the agency, and that region and endpoints are those of its account",
    "id token": "check the identity provider, and that region and endpoints are those of its account",
    "agency": "check the agency, and that region and endpoints are those of its account",
}


@dataclass(frozen=True)
class AuthMethod:
    """How a project authenticates; ``source`` names the settings."""

    kind: Kind
    source: str
    expires: bool = False  # whether the configured value expires and cannot be renewed
    token_endpoints: Mapping[str, str] = field(default_factory=dict)
    """The endpoints that may issue the credentials, by their purpose; empty if none is needed."""

    @property
    def signs(self) -> bool:
        """Whether requests are signed, which takes a correct clock."""
        return self.kind not in {"token", "iam"}


def auth_method(project: Project, link: Link | None, issuer: str | None) -> AuthMethod:
    """Return a project's method; ``link`` is what the SDK's chain found, ``issuer`` the address of IAM or STS."""
    issuer = issuer or ""
    match link:
        case None:
            return _configured_method(project, issuer)
        case KeysLink():
            return AuthMethod("access key", f"{link.source} {_CHAIN}")
        case OidcLink():
            return AuthMethod("oidc", f"{link.source} {_CHAIN}", link.fixed, {"sts": issuer})
        case IdTokenLink():
            return AuthMethod("id token", f"{link.source} {_CHAIN}", token_endpoints={"iam": issuer})
        case AgencyLink():
            pod = {POD: link.pod.endpoint} if link.pod else {}
            source = _AGENCY_OF_EITHER if pod else "the agency of this ECS"
            return AuthMethod(
                "agency", f"{source} {_CHAIN}", token_endpoints={METADATA: project.endpoints.metadata, **pod}
            )


def _configured_method(project: Project, issuer: str) -> AuthMethod:
    auth = project.auth
    given = [f"auth.{name}" for name in type(auth).model_fields if getattr(auth, name) is not None]
    source = " and ".join(filter(None, [", ".join(given[:-1]), *given[-1:]]))
    if auth.token or auth.token_file:
        return AuthMethod("token", source, expires=auth.token is not None)
    if auth.username:
        return AuthMethod("iam", source, token_endpoints={"iam": issuer})
    return AuthMethod("access key", source, expires=auth.security_token is not None)


def of_pod(method: AuthMethod) -> AuthMethod:
    """Return the method once it is clear that the pod's agency is used."""
    return replace(method, source=f"{_AGENCY_OF_POD} {_CHAIN}")


def unusable_link(error: Exception) -> Finding:
    """Return the finding about a link of the SDK's chain that is half configured."""
    return fail(
        CREDENTIALS,
        f"{error} {_CHAIN}",
        "complete or correct it, or unset all of it; see Credentials in CONFIGURATION.md",
    )


def skipped_file(link: Link | None) -> Finding | None:
    """Return the finding about a credentials file that the SDK's chain skips, or None."""
    if not (isinstance(link, AgencyLink) and link.skipped):
        return None
    remedy = "let the exporter's user read it, correct it, or remove it"
    return warn(CREDENTIALS, f"the credentials file is skipped: {link.skipped} {_CHAIN}", remedy)


def not_requested(method: AuthMethod, reason: str) -> Finding:
    """Return the finding about credentials that cannot be requested."""
    remedies = {"oidc": _REMEDY_STS, "agency": _REMEDY_NOTHING}
    return skip(CREDENTIALS, f"{method.source}: not requested, {reason}", remedies.get(method.kind, ""))


def not_obtained(method: AuthMethod, error: CloudError) -> Finding:
    """Return the finding about credentials that could not be read or issued."""
    if error.outcome == "unreadable":
        return fail(CREDENTIALS, f"{method.source} cannot be read: {error.detail}", _REMEDY_UNREADABLE)
    if isinstance(error, NoCredentials):
        return fail(CREDENTIALS, error.detail, _REMEDY_NOTHING)
    what, remedy = explain(error)
    return fail(CREDENTIALS, f"{method.source}: {what}", remedy)


def judge_credentials(method: AuthMethod, answers: Sequence[object], expires_at: float | None) -> Finding:
    """Return the finding about credentials from the first answers to them, which may be errors or NotQueried."""
    for answer in answers:
        if isinstance(answer, Unauthorized):
            text = f"the cloud rejects {method.source} ({answer.operation}: {facts(answer)})"
            return fail(CREDENTIALS, text, _REMEDY_REJECTED[method.kind])
    unproven = [each for each in answers if isinstance(each, CloudError | NotQueried)]
    if len(unproven) == len(answers) and not any(isinstance(each, Forbidden | NotFound) for each in unproven):
        return skip(CREDENTIALS, f"{method.source}: present, but no answer shows whether the cloud accepts them")
    text = f"{method.source}: accepted"
    if expires_at is not None:
        text += f", renewed automatically before {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%d %H:%M} UTC"
    return warn(CREDENTIALS, text, _REMEDY_EXPIRES) if method.expires else ok(CREDENTIALS, text)
