"""The declaration of all settings, from which flags, variables, YAML keys and the reference are made."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from exporter.config.names import Domain, LabelName, LabelValue, Name, Pattern, UserId, UserName, login_parts, matcher
from exporter.config.values import (
    DurationBetween,
    Endpoint,
    File,
    Line,
    ListenAddresses,
    LogLevel,
    Number,
    ProjectId,
    Proxy,
    Region,
    Secret,
    Switch,
    TelemetryPath,
    Whole,
    require,
)
from exporter.files import Version


class Section(BaseModel):
    """A strict and frozen group of settings: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Endpoints(Section):
    """Base URLs of the cloud's services."""

    sessions: Endpoint | None = Field(None, description="Base URL for sessions. Default: derived from the region.")
    users: Endpoint | None = Field(None, description="Base URL for users. Default: derived from the region.")
    iam: Endpoint | None = Field(
        None, description="Base URL of IAM. Default: HUAWEICLOUD_SDK_IAM_ENDPOINT, or derived from the region."
    )
    metadata: Endpoint = Field("http://169.254.169.254", description="Base URL of the ECS metadata service.")


class Auth(Section):
    """One way to authenticate: a token, an access key or a password; without any, the SDK's credential chain."""

    token: Secret | None = Field(
        None, description="IAM token. Without credentials, the SDK's credential chain is used."
    )
    token_file: File | None = Field(None, description="File with the token.")
    access_key: Secret | None = Field(None, description="Access key ID (AK). Requires the secret access key.")
    access_key_file: File | None = Field(None, description="File with the access key ID.")
    secret_key: Secret | None = Field(None, description="Secret access key (SK).")
    secret_key_file: File | None = Field(None, description="File with the secret access key.")
    security_token: Secret | None = Field(None, description="Security token of a temporary access key.")
    security_token_file: File | None = Field(None, description="File with the security token.")
    username: Line | None = Field(None, description="IAM user. The exporter renews its tokens before they expire.")
    domain: Line | None = Field(None, description="Account of the IAM user.")
    password: Secret | None = Field(None, description="Password of the IAM user.")
    password_file: File | None = Field(None, description="File with the password.")


class WrittenUser(Section):
    """A user as the configuration writes it: a mapping, or just the name."""

    name: UserName = Field(description="Name of the user, or the whole login name `name@domain`.")
    id: UserId | None = Field(None, description="ID of the user. Default: looked up once with ListUsers.")
    domain: Domain | None = Field(None, description="Domain of the user, where a name exists in several domains.")

    @field_validator("domain")
    @classmethod
    def _only_domain(cls, domain: str | None, others: ValidationInfo) -> str | None:
        if domain and "@" in others.data.get("name", ""):
            raise ValueError("is in the name already, after the @; keep one of them")
        return domain

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: object) -> object:
        match value:
            case str():
                return {"name": value}
            case User():
                return {"name": value.name, "id": value.id, "domain": value.domain}
            case dict():
                return value
        raise ValueError("must be a name, in quotes if it looks like a number, or {name: …, id: …, domain: …}")


class User(msgspec.Struct, frozen=True, gc=False):
    """A user to watch. There may be 100,000: a pydantic model for each would take most of the memory."""

    name: str
    id: str | None = None
    domain: str | None = None

    @property
    def login(self) -> tuple[str, str | None]:
        """Name and domain, which may be written as one in the name."""
        return login_parts(self.name, self.domain)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check a user as it is written, and keep only its fields."""
        return no_info_after_validator_function(lambda written: cls(**dict(written)), handler(WrittenUser))


class Discover(Section):
    """A filter for the users that ListUsers finds. It combines the settings that it names."""

    group: Name | None = Field(None, description="Users of this user group, by its exact name.")
    domain: Domain | None = Field(None, description="Users of this domain.")
    platform_type: Name | None = Field(None, description="Users of this platform: `AD`, `LOCAL` or `UOS`.")
    enterprise_project_id: Name | None = Field(None, description="Users of this enterprise project.")
    active_type: Name | None = Field(None, description="Users activated this way: `USER_ACTIVATE` or `ADMIN_ACTIVATE`.")
    all: Switch = Field(False, description="All users. Cannot be combined with a filter.")

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """The query parameters of ListUsers; none for all users."""
        values = {
            "group_name": self.group,
            "domain": self.domain,
            "platform_type": self.platform_type,
            "enterprise_project_id": self.enterprise_project_id,
            "active_type": self.active_type,
        }
        return tuple((parameter, value) for parameter, value in values.items() if value is not None)


Interval = Annotated[float, BeforeValidator(DurationBetween("1s", "30d"))]
IntervalOrOff = Annotated[float, BeforeValidator(DurationBetween("1s", "30d", or_zero=True))]
RefreshOrOff = Annotated[float, BeforeValidator(DurationBetween("1s", "1d", or_zero=True))]
Timeout = Annotated[float, BeforeValidator(DurationBetween("100ms", "1h"))]
Window = Annotated[float, BeforeValidator(DurationBetween("1m", "1y"))]
MaximumAge = Annotated[float, BeforeValidator(DurationBetween("1s", "1y"))]


class Poll(Section):
    """When and how fast the cloud is polled."""

    interval: Interval = Field(60.0, description="How often each user's sessions are polled.")
    user_interval: Interval = Field(300.0, description="How often each user's account is polled.")
    timeout: Timeout = Field(10.0, description="Time limit for one API request, including reading the response.")
    concurrency: Whole = Field(16, ge=1, le=1000, description="API requests in flight, per operation.")
    rate_limit: Number = Field(
        180.0,
        ge=0.1,
        le=1e9,
        description="API requests per minute and operation, evenly spread. "
        "Projects with equal credentials and host share it.",
    )
    failures_interval: IntervalOrOff = Field(
        5.0,
        description="How often ListSessions is queried for sessions at InitFail, so that failures show within seconds. "
        "0 turns it off. These requests get at most a third of the rate limit.",
    )
    source: Literal["auto", "per_user", "bulk"] = Field(
        "auto",
        description="Where sessions come from: `per_user` (a query for each user), `bulk` (scans of all sessions as "
        "well) or `auto` (`bulk` when the users no longer fit the interval at this rate limit).",
    )
    bulk_lookback: Window = Field(
        86_400.0,
        description="Bulk scans list sessions that started within this time. Per-user queries find older sessions.",
    )
    stale_after: MaximumAge | None = Field(
        None, description="How long a user's last answer counts. Default: three times the actual interval."
    )


class Project(Section):
    """A cloud project and the users to watch in it."""

    project_id: ProjectId = Field(description="ID of the project. Default: the project ID of the SDK's environment.")
    name: Line = Field(
        default_factory=lambda validated: validated["project_id"],
        description="Value of the label `project`, unique. Default: the project ID.",
    )
    region: Region | None = Field(None, description="Region such as `eu-west-101`. Optional with all endpoints in use.")
    endpoints: Endpoints = Endpoints()
    auth: Auth = Auth()
    users: Annotated[tuple[User, ...], Field(strict=False)] = Field(
        (), description="Users to watch: names or `{name: …, id: …, domain: …}`.", repr=False
    )
    users_file: File | None = Field(
        None,
        description="More users: a `name` or `name,id` per line; `#` for comments. Read again when it changes.",
    )
    discover: Annotated[tuple[Discover, ...], Field(strict=False)] = Field(
        (), description="More users: those that ListUsers finds, refreshed every `poll.user_interval`."
    )
    exclude: Annotated[tuple[Pattern, ...], Field(strict=False)] = Field(
        (), description="Shell patterns such as `svc-*` of names that are not watched. They ignore case.", repr=False
    )
    poll: Poll = Field(Poll(), description="Overrides of `poll` for this project, with the same keys.")
    labels: Mapping[LabelName, LabelValue] = Field(
        {}, description="Further labels on every series of the project, such as `{site: munich}`."
    )
    _of_file: int = PrivateAttr(0)  # how many of the users, the last ones, are from users_file
    _file_version: Version | None = PrivateAttr(None)

    @property
    def inline_users(self) -> tuple[User, ...]:
        """The users that the configuration itself names, without those of `users_file`."""
        return self.users[: len(self.users) - self._of_file]

    @property
    def file_version(self) -> Version | None:
        """The version of `users_file` that the users are from."""
        return self._file_version

    def with_file(self, users: Sequence[User], version: Version | None) -> "Project":
        """Return a copy with the users of this version of `users_file` instead of those of another version."""
        copy = self.model_copy(update={"users": (*self.inline_users, *users)})
        copy._of_file, copy._file_version = len(users), version  # noqa: SLF001 - of this class
        return copy

    def without_users(self) -> "Project":
        """Return a copy without everything that names users."""
        return self.with_file((), None).model_copy(update={"users": (), "users_file": None})

    def of_connection(self) -> "Project":
        """Return a copy with only what a connection to the cloud depends on."""
        defaults = {"discover": (), "exclude": (), "poll": Poll(), "labels": {}}
        return self.without_users().model_copy(update=defaults)

    def excludes(self, name: str, domain: str | None = None) -> bool:
        """Return whether an `exclude` pattern matches the name, with or without its domain, in any case."""
        if not self.exclude:
            return False
        bare, domain = login_parts(name, domain)
        matches = matcher(self.exclude)
        return bool(matches(bare) or (domain and matches(f"{bare}@{domain}")))


class Http(Section):
    """The connection to the cloud."""

    proxy: Proxy | None = Field(
        None,
        description="Proxy URL, optionally with user and password. It serves all endpoints but `metadata`. Default: "
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.",
    )
    ca_file: File | None = Field(None, description="PEM file of trusted authorities. Default: the system's.")


class Metrics(Section):
    """What the metrics show of users and versions."""

    per_user: Literal["all", "flagged", "none"] = Field(
        "all", description="Users with series of their own: `all`, `flagged` (with something to report) or `none`."
    )
    user_label: Literal["name", "id", "hash"] = Field(
        "name", description="Content of the label `user_name`: `name`, `id` or `hash` (keyed, for anonymity)."
    )
    hash_key: Secret | None = Field(None, description="Key for `hash`, which requires it here or in a file.")
    hash_key_file: File | None = Field(None, description="File with the key for `hash`.")
    max_label_values: Whole = Field(
        100, ge=1, le=100_000, description="Values per label from the cloud. Further values are combined into `other`."
    )


class Web(Section):
    """The exporter's own HTTP server."""

    listen_address: ListenAddresses = Field(
        (":10099",), description="`[host]:port`, or a list of them; without a host: all interfaces."
    )
    systemd_socket: Switch = Field(
        False, description="Listen on the sockets that systemd passes (socket activation) instead of `listen_address`."
    )
    telemetry_path: TelemetryPath = Field("/metrics", description="Path of the metrics.")
    config_file: File | None = Field(
        None, description="File for TLS, client certificates, basic auth and headers, as for Prometheus's exporters."
    )
    enable_lifecycle: Switch = Field(False, description="Enable POST /-/reload and POST /-/quit.")
    enable_config: Switch = Field(
        False, description="Enable GET /-/config, which shows the configuration in effect with secrets masked."
    )
    refresh_interval: RefreshOrOff = Field(
        30.0, description="How often a browser loads the page at `/` again. 0 turns it off."
    )


class Shard(Section):
    """This process's share of the projects."""

    index: Whole = Field(0, ge=0, description="Number of this exporter among equal exporters, from 0.")
    total: Whole = Field(1, ge=1, le=1000, description="Number of equal exporters that share the projects.")


class Log(Section):
    """The log on standard error."""

    level: LogLevel = Field("info", description="Lowest level to log: `debug`, `info`, `warning` (`warn`) or `error`.")
    format: Literal["logfmt", "json", "console"] = Field("logfmt", description="`logfmt`, `json` or `console`.")


class Settings(Section):
    """All settings."""

    projects: Annotated[tuple[Project, ...], Field(strict=False), require(len, "needs at least one entry")] = Field(
        description="Projects to watch. In the environment: all of them as one YAML or JSON text."
    )
    http: Http = Http()
    poll: Poll = Poll()
    metrics: Metrics = Metrics()
    web: Web = Web()
    shard: Shard = Shard()
    log: Log = Log()

    @property
    def watched(self) -> tuple[Project, ...]:
        """The projects of this shard."""
        return tuple(each for each in self.projects if shard_of(each.project_id, self.shard.total) == self.shard.index)

    def poll_of(self, project: Project) -> Poll:
        """Return the section `poll` with the overrides of a project."""
        overrides = {name: getattr(project.poll, name) for name in project.poll.model_fields_set}
        return self.poll.model_copy(update=overrides)


def shard_of(project_id: str, total: int) -> int:
    """Return the shard, from 0 to `total` - 1, that watches a project; the same in every process and version.

    Rendezvous hashing: an additional shard takes about 1 / `total` of the projects and moves no other.
    """
    return max(range(total), key=lambda shard: hashlib.sha256(f"{shard}/{project_id}".encode()).digest())
