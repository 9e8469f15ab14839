"""The settings: the one declaration that flags, environment, YAML and the reference are made from.

What must be right over several settings is in `rules`.
"""

from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from exporter.config.durations import Duration
from exporter.config.shards import shard_of
from exporter.config.values import (
    Endpoint,
    File,
    Line,
    ListenAddress,
    Number,
    ProjectId,
    Proxy,
    Region,
    Secret,
    Switch,
    TelemetryPath,
    UserName,
    Whole,
    WrittenAs,
    not_empty,
    split_address,
)


class Section(BaseModel):
    """Strict and frozen: no unknown keys, no guessing of types, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Endpoints(Section):
    """Base URLs of the cloud's services."""

    sessions: Endpoint | None = Field(None, description="Base URL for sessions; derived from the region if left out.")
    users: Endpoint | None = Field(None, description="Base URL for users; derived from the region if left out.")
    iam: Endpoint | None = Field(None, description="Base URL of IAM; derived from the region if left out.")
    metadata: Endpoint = Field("http://169.254.169.254", description="Base URL of an ECS's metadata service.")


class Auth(Section):
    """One way to authenticate: a token, an access key, a user's password, or nothing for the SDK's chain."""

    token: Secret | None = Field(None, description="An IAM token. Without any credentials, the SDK's chain is used.")
    token_file: File | None = Field(None, description="File that holds the token.")
    access_key: Line | None = Field(None, description="Access key id (AK); together with the secret key.")
    access_key_file: File | None = Field(None, description="File that holds the access key id.")
    secret_key: Secret | None = Field(None, description="Secret access key (SK).")
    secret_key_file: File | None = Field(None, description="File that holds the secret access key.")
    security_token: Secret | None = Field(None, description="Security token of a temporary access key.")
    security_token_file: File | None = Field(None, description="File that holds the security token.")
    username: Line | None = Field(None, description="IAM user, whose tokens are renewed before they end.")
    domain: Line | None = Field(None, description="Account that the IAM user belongs to.")
    password: Secret | None = Field(None, description="Password of the IAM user.")
    password_file: File | None = Field(None, description="File that holds the password.")


class User(msgspec.Struct, frozen=True, gc=False):
    """A user to watch: of these there are so many that a model for each would take most of the memory."""

    name: str
    id: str | None = None


class WrittenUser(Section):
    """A user to watch as it is written; in YAML a plain name will do."""

    name: UserName = Field(description="The user's name.")
    id: UserName | None = Field(None, description="The user's id; looked up once with ListUsers if left out.")

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: object) -> object:
        match value:
            case str():
                return {"name": value}
            case User():
                return {"name": value.name, "id": value.id}
            case dict():
                return value
            case _:
                raise ValueError("must be a name, in quotes if it looks like a number, or {name: …, id: …}")


class Project(Section):
    """One project of the cloud, with the users to watch in it."""

    project_id: ProjectId = Field(description="The project's id; the SDK's environment may give it.")
    name: Line = Field(
        default_factory=lambda validated: validated["project_id"],
        description="Value of the label `project`, unique; the project_id if left out.",
    )
    region: Region | None = Field(None, description="Region such as `eu-west-101`; may be left out with all endpoints.")
    endpoints: Endpoints = Endpoints()
    auth: Auth = Auth()
    users: Annotated[tuple[Annotated[User, WrittenAs(WrittenUser)], ...], Field(strict=False)] = Field(
        (), description="The users to watch: names or `{name: …, id: …}`.", repr=False
    )
    users_file: File | None = Field(
        None, description="File of further users, one `name` or `name,id` a line, with `#` comments."
    )


class Http(Section):
    """How the cloud is reached."""

    proxy: Proxy | None = Field(
        None, description="Proxy URL, may hold a password; HTTPS_PROXY, HTTP_PROXY and NO_PROXY count if left out."
    )
    ca_file: File | None = Field(None, description="PEM file of trusted authorities; the system's if left out.")


class Poll(Section):
    """When and how fast the cloud is asked."""

    interval: Duration = Field(60.0, description="How often each user's sessions are asked for.")
    user_interval: Duration = Field(300.0, description="How often each user's flags are asked for.")
    timeout: Duration = Field(10.0, description="Of one call, all of it.")
    concurrency: Whole = Field(16, ge=1, description="Calls in flight, per project.")
    rate_limit: Number = Field(
        180.0, gt=0, allow_inf_nan=False, description="Calls a minute, per operation and project; spread evenly."
    )
    source: Literal["auto", "per_user", "bulk"] = Field(
        "auto",
        description="Where sessions come from: asked for user by user (`per_user`), swept for all at once as well "
        "(`bulk`), or `auto`: swept once the users no longer fit the interval at this rate limit.",
    )
    bulk_lookback: Duration = Field(
        86_400.0, description="Sweeps see sessions that started within this time; older ones are asked for in turn."
    )
    stale_after: Duration | None = Field(
        None, description="How long a user's last answer counts; three times what the interval really is if left out."
    )


class Metrics(Section):
    """What is exposed about single users and versions."""

    per_user: Literal["all", "flagged", "none"] = Field(
        "all", description="Series for single users: `all`, `flagged` (only users with something to report) or `none`."
    )
    user_label: Literal["name", "id", "hash"] = Field(
        "name", description="What the label `user_name` holds: `name`, `id` or `hash` (keyed, for anonymity)."
    )
    hash_key: Secret | None = Field(None, description="Key of the hashes; required for `hash`, here or in a file.")
    hash_key_file: File | None = Field(None, description="File that holds the key of the hashes.")
    max_label_values: Whole = Field(
        100, ge=1, description="Values per version label; the rarest beyond it are folded into `other`."
    )


class Web(Section):
    """The exporter's own pages."""

    listen_address: ListenAddress = Field(":10099", description="`[host]:port` to serve at; all interfaces if no host.")
    telemetry_path: TelemetryPath = Field("/metrics", description="Path of the metrics.")
    config_file: File | None = Field(
        None,
        description="File for TLS, client certificates, basic auth and headers, as Prometheus's exporters have it.",
    )
    enable_lifecycle: Switch = Field(False, description="Whether POST /-/reload and POST /-/quit are answered.")

    @property
    def host(self) -> str | None:
        """The interface to listen on; None means all."""
        return split_address(self.listen_address)[0]

    @property
    def port(self) -> int:
        """The port to listen on; 0 means any that is free."""
        return split_address(self.listen_address)[1]


class Shard(Section):
    """Which share of the projects is this process's."""

    index: Whole = Field(0, ge=0, description="Which of the equal exporters this is, from 0 on.")
    total: Whole = Field(1, ge=1, description="How many equal exporters share the projects.")


class Log(Section):
    """What the process says of itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe events told: `debug`, `info`, `warning` or `error`."
    )
    format: Literal["logfmt", "json", "console"] = Field("logfmt", description="`logfmt`, `json` or `console`.")


class Settings(Section):
    """Everything that can be set."""

    projects: Annotated[tuple[Project, ...], Field(strict=False), AfterValidator(not_empty)] = Field(
        description="The projects to watch; in the environment as one YAML or JSON text."
    )
    http: Http = Http()
    poll: Poll = Poll()
    metrics: Metrics = Metrics()
    web: Web = Web()
    shard: Shard = Shard()
    log: Log = Log()

    @property
    def watched(self) -> tuple[Project, ...]:
        """The projects that are this shard's."""
        index, total = self.shard.index, self.shard.total
        return tuple(project for project in self.projects if shard_of(project.project_id, total) == index)
