"""Which way a project authenticates, and what came of it, in words. Settings are named, their values never are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from exporter.cloud import regions
from exporter.cloud.causes import explain, facts
from exporter.cloud.errors import CloudError, Forbidden, NoCredentials, NotFound, Unauthorized
from exporter.doctor.endpoints import METADATA
from exporter.doctor.findings import CREDENTIALS, Finding, fail, ok, skip, warn
from exporter.doctor.interview import NotAsked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter import config
    from exporter.cloud.chain import Link

Kind = Literal["access key", "token", "iam", "metadata"]

_CHAIN_KEYS = "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"

_REMEDY_REFUSED: dict[Kind, str] = {
    "access key": "check that the secret key belongs to the access key, and that the key is enabled in IAM; "
    "a clock more than 15m off is refused, too. More than 5 wrong signatures lock a key for 5 minutes: stop the "
    "exporter and whatever else uses a wrong one, and wait",
    "token": "write a new one: a token lives for 24 hours, ends when the user's password or permissions change, "
    "and is for one project",
    "iam": "IAM gave a token that the service does not take: check that endpoints and region belong together",
    "metadata": "look at the agency of this ECS, and check that region and endpoints are those of the ECS's account",
}

_REMEDY_IAM = (
    "check username, password, and domain, which is the account's name; also project_id. A few wrong passwords lock "
    "the user for a while"
)
_REMEDY_UNREADABLE = "check that the file is there, that the exporter's user may read it, and that it is text"
_REMEDY_ENDS = "it ends within 24 hours of its issue: put it into a file that is kept up to date, or use an access key"


@dataclass(frozen=True)
class Way:
    """How a project authenticates; ``source`` names the settings."""

    kind: Kind
    source: str
    fleeting: bool = False
    """Whether what the configuration holds ends by itself, and cannot be renewed."""
    lenders: Mapping[str, str] = field(default_factory=dict)
    """The endpoint that lends the credentials, by what it is; none where they are at hand."""

    @property
    def signing(self) -> bool:
        """Whether requests are signed, for which the clock has to be right."""
        return self.kind in ("access key", "metadata")


def way_of(project: config.Project, link: Link | None) -> Way:
    """The way that a project's settings mean; ``link`` is what the SDK's chain has to offer."""
    auth = project.auth
    given = [name for name in type(auth).model_fields if getattr(auth, name) is not None]
    source = _listed([f"auth.{name}" for name in given])
    if auth.token or auth.token_file:
        return Way("token", source, fleeting=auth.token is not None)
    if auth.username:
        return Way("iam", source, lenders={"iam": project.endpoints.iam or regions.iam_endpoint(project.region or "")})
    if given:
        return Way("access key", source, fleeting=auth.security_token is not None)
    if link:
        name = f"{_CHAIN_KEYS} of the environment" if link.source == "environment" else link.source
        return Way("access key", f"{name} (the SDK's chain)")
    lenders = {METADATA: project.endpoints.metadata}
    return Way("metadata", "the agency of this ECS (the SDK's chain)", lenders=lenders)


def not_obtained(way: Way, error: CloudError) -> Finding:
    """Nothing to authenticate with could be had."""
    if error.outcome == "unreadable":
        return fail(CREDENTIALS, f"{way.source} cannot be read: {error.detail}", _REMEDY_UNREADABLE)
    if way.kind == "iam" and isinstance(error, Unauthorized):
        return fail(CREDENTIALS, f"IAM refuses {way.source} ({facts(error)})", _REMEDY_IAM)
    if isinstance(error, NoCredentials):
        return fail(CREDENTIALS, error.detail, "set auth, or give this ECS an agency")
    cause = explain(error)
    return fail(CREDENTIALS, f"{way.source}: {cause.what}", cause.remedy)


def judge(way: Way, answers: Sequence[object], expires_at: float | None) -> Finding:
    """What the answers to the first calls with the credentials say of them; some may be errors, some not asked for."""
    for answer in answers:
        if isinstance(answer, Unauthorized):
            text = f"the cloud refuses {way.source} ({answer.operation}: {facts(answer)})"
            return fail(CREDENTIALS, text, _REMEDY_REFUSED[way.kind])
    if not any(map(_accepted, answers)):
        return skip(CREDENTIALS, f"{way.source}: there, but no answer says whether the cloud accepts them")
    text = f"{way.source}: accepted{_end(expires_at)}"
    return warn(CREDENTIALS, text, _REMEDY_ENDS) if way.fleeting else ok(CREDENTIALS, text)


def _accepted(answer: object) -> bool:
    """Whether an answer got past the cloud's door."""
    return isinstance(answer, Forbidden | NotFound) or not isinstance(answer, CloudError | NotAsked)


def _end(expires_at: float | None) -> str:
    if expires_at is None:
        return ""
    return f", renewed by itself before {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%d %H:%M} UTC"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
