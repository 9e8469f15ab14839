"""From settings to everything that runs by them. What may fail fails here, before anything in effect is touched."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from exporter.cloud.bodies import ByteBudget
from exporter.cloud.client import USER_OPERATIONS
from exporter.cloud.connect import check_proxies, connect, endpoints_of, lockout_key
from exporter.cloud.transport import tls_context
from exporter.config import ConfigError, Mistake, Project, Settings, User, Web
from exporter.metrics.labels import Labelling
from exporter.polling.gate import Access, KeyGate
from exporter.polling.pace import Pace
from exporter.users_file import UsersFile
from exporter.watch import Watch, WatchSpec

# Paces by operation, credentials and host: the cloud's quota is the account's.
Plan = Callable[[], Awaitable[None]]  # lets a watch continue with its part of a setup
SharedPaces = dict[tuple[str, object, str], Pace]


@dataclass(frozen=True)
class Setup:
    """Everything that settings amount to. They themselves are let go of, since they may name many users."""

    web: Web
    labelling: Labelling
    watches: tuple[Watch, ...]
    users_files: Mapping[Watch, UsersFile]  # of the projects that have one
    gates: Mapping[object, KeyGate]  # by access key or account
    paces: SharedPaces
    byte_budget: ByteBudget


def prepared(settings: Settings, now: Callable[[], float], before: Setup | None = None) -> tuple[Setup, Sequence[Plan]]:
    """Return the setup for settings, and plans to apply. It reuses unchanged parts of ``before``.

    Raises:
        ConfigError: a file that the settings rely on is unusable.
    """
    try:
        labelling = Labelling.of(settings.metrics)
        tls = tls_context(settings.http.ca_file)
        specs = [WatchSpec.of(project, settings, tls) for project in settings.watched]
        for spec in specs:
            check_proxies(spec.connection)
        keys = [lockout_key(project.auth) for project in settings.watched]
    except (OSError, ValueError) as error:
        raise ConfigError([Mistake("configuration", "", str(error))]) from error
    known = {_identity(watch.spec): watch for watch in (before.watches if before else ())}
    # What was rejected a moment ago must be remembered, or removing and adding a project could lock its key.
    gates = {key: gate for key, gate in (before.gates if before else {}).items() if key in keys or gate.must_be_kept}
    gates |= {key: KeyGate() for key in keys if key not in gates}
    paces = {key: pace for key, pace in (before.paces if before else {}).items() if pace.must_be_kept}
    budget = before.byte_budget if before else ByteBudget()

    def plan(spec: WatchSpec, key: object, users: Sequence[User]) -> tuple[Watch, Plan]:
        def pace_of(operation: str) -> Pace:
            return paces.setdefault((operation, key, _host(operation, spec.project)), Pace())

        watch, gate = known.get(_identity(spec)), gates[key]
        connection, access = (watch.connection, watch.poller.access) if watch else (None, None)
        if connection is None or watch is None or spec.connection != watch.spec.connection:
            connection = connect(
                spec.connection, now, gate, budget, telemetry=connection.telemetry if connection else None
            )
        if access is None or access.gate is not gate:
            access = Access(spec.project.name, connection.credentials.fingerprint, gate)
        watch = watch or Watch(spec, connection, access, pace_of, now)
        return watch, partial(watch.apply, spec, users, connection, access, pace_of)

    users = [project.users for project in settings.watched]
    planned = list(map(plan, specs, keys, users))
    watches = tuple(watch for watch, _ in planned)
    projects = zip(watches, settings.watched, strict=True)
    users_files = {watch: UsersFile(project, now) for watch, project in projects if project.users_file}
    setup = Setup(settings.web, labelling, watches, users_files, gates, paces, budget)
    return setup, [apply for _, apply in planned]


def _identity(spec: WatchSpec) -> tuple[str, str]:
    """Return what makes a project the same one after a reload."""
    return spec.project.name, spec.project.project_id


def _host(operation: str, project: Project) -> str:
    endpoints = endpoints_of(project)
    return urlsplit(endpoints.users if operation in USER_OPERATIONS else endpoints.sessions).netloc
