"""Requests to the cloud: how many, how many fail, and how long they take. A row of the exporter's dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import colours
from dashboards.bounds import FAILED, THROTTLED
from dashboards.panels import About, bounded, lines, stacked
from dashboards.queries import over_time, per_minute, series, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

ENOUGH = 20
"""A share of fewer requests means nothing: one of two is 50 %."""

NO_REQUESTS = "Unknown: no request is known"
FEW_REQUESTS = "Unknown: too few requests"

_HERE = 'instance=~"$instance"'
REQUESTS = "api_requests_total"
_FAILURES = f'{_HERE}, code!~"2..|404"'
_QUARTER = "4m"
"""The step that makes `$__rate_interval` a quarter of an hour."""


def panels() -> Iterator[Builder[Panel]]:
    """The panels."""
    yield _used_over_time()
    yield from _shares()
    yield _by_code()
    yield _durations()


def used(window: str = "$__rate_interval") -> str:
    """The share of the rate limit that each project and operation uses, of the exporter that uses the most."""
    requests = per_minute(REQUESTS, "job", "instance", "project", "operation", where=_HERE, window=window)
    limit = f"max by (job, instance, project) ({series('poll_rate_limit', _HERE)})"
    return f"max by (project, operation) ({requests} / on (job, instance, project) group_left () {limit})"


def _used_over_time() -> Builder[Panel]:
    about = About(
        title="Rate limit used, by project",
        description="Requests per minute, with retries, per poll.rate_limit, for each project's operation with the "
        "most. At 100 % the interval grows with each further user. Projects with the same credentials share one limit.",
        unit="percentunit",
        empty=NO_REQUESTS,
        span=8,
        height=8,
    )
    return lines(about, over_time(f"max by (project) ({used()})", "{{project}}"))


def _shares() -> Iterator[Builder[Panel]]:
    enough = f"Periods with fewer than {ENOUGH} requests in a quarter of an hour are left out."
    about = About(
        title="Failed requests, share",
        description="Share of requests without a successful response. A 404 is not a failure: the user is unknown to "
        f"the cloud. Retries make up for a few. {enough}",
        unit="percentunit",
        empty=FEW_REQUESTS,
        thresholds=colours.above(*FAILED),
        span=8,
        height=8,
    )
    yield _share_of(about, _FAILURES)
    about = About(
        title="Throttled requests, share",
        description="Share of requests answered with 429: the exporter and others have used up the account's quota. "
        f"The exporter slows down by itself. {enough}",
        unit="percentunit",
        empty=FEW_REQUESTS,
        thresholds=colours.above(*THROTTLED),
        span=8,
        height=8,
    )
    yield _share_of(about, f'{_HERE}, code="429"')


def _share_of(about: About, where: str) -> Builder[Panel]:
    """The share of each project's requests, 0 where none of enough requests is among them."""
    part, whole = (
        f"sum by (project) (increase({series(REQUESTS, which)}[$__rate_interval]))" for which in (where, _HERE)
    )
    ratio = share(f"({part} or 0 * {whole})", whole, least=ENOUGH)
    return bounded(lines(about, over_time(ratio, "{{project}}", _QUARTER)))


def _by_code() -> Builder[Panel]:
    about = About(
        title="Failed requests per minute, by code",
        description="Requests without a successful response, by HTTP status or kind of failure: timeout, "
        "connection_error, tls_error, invalid_response.",
        unit="short",
        empty=NO_REQUESTS,
        span=12,
        height=7,
    )
    failed = per_minute(REQUESTS, "code", where=_FAILURES)
    none = f"0 * {per_minute(REQUESTS, where=_HERE)} unless on () {failed}"
    panel = stacked(about, over_time(failed, "{{code}}"), over_time(none, "none"))
    for codes, colour in colours.CODES.items():
        panel.override_by_regexp(f"/^{codes}$/", colours.fixed(colour))
    return panel


def _durations() -> Builder[Panel]:
    about = About(
        title="Response time",
        description="Time to the complete response, for the slowest operation: half, and 95 %, of its requests take "
        f"less. Operations with fewer than {ENOUGH} requests in a quarter of an hour are left out.",
        unit="s",
        empty=FEW_REQUESTS,
        thresholds=colours.above(2, 8),
        span=12,
        height=7,
    )
    requests = "api_request_duration_seconds"
    buckets, counted = (
        f"sum by ({labels}) (increase({series(f'{requests}_{part}', _HERE)}[$__rate_interval]))"
        for part, labels in (("bucket", "operation, le"), ("count", "operation"))
    )
    quantiles = {"95 %": (0.95, colours.NEUTRAL), "Half": (0.5, colours.SKY)}
    slowest = (
        over_time(f"max(histogram_quantile({q}, {buckets}) and on (operation) {counted} >= {ENOUGH})", name, _QUARTER)
        for name, (q, _) in quantiles.items()
    )
    panel = lines(about, *slowest)
    for name, (_, colour) in quantiles.items():
        panel.override_by_name(name, colours.fixed(colour))
    return panel
