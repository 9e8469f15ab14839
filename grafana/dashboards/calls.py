"""What the exporter asks the cloud, and how the cloud takes it: a row of the exporter's dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import colours
from dashboards.panels import About, bounded, density, lines, stacked
from dashboards.queries import buckets, gauge, over_time, per_minute, series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

NO_CALLS = "No call has been made"

_HERE = 'instance=~"$instance"'

_FAILED = About(
    title="Share of calls that fail",
    description="Whatever is not answered with success; that the cloud does not know a user, a 404, is an answer. A "
    "few are made good by retries.",
    unit="percentunit",
    empty=NO_CALLS,
    thresholds=colours.above(0.05, 0.2),
    span=6,
)
_THROTTLED = About(
    title="Share of calls throttled",
    description="Answered with 429: the account's quota is used up, by the exporter and others together. The exporter "
    "slows down by itself.",
    unit="percentunit",
    empty=NO_CALLS,
    thresholds=colours.above(0.01, 0.1),
    span=6,
)


def panels() -> Iterator[Builder[Panel]]:
    """The panels."""
    yield from _budget()
    yield from _codes()
    yield from _latency()


def _budget() -> Iterator[Builder[Panel]]:
    calls = per_minute("api_requests_total", "project", "operation", where=_HERE)
    about = About(
        title="Calls a minute",
        description="Calls of each kind, retries included, against poll.rate_limit, which holds for each kind and "
        "project.",
        unit="short",
        empty=NO_CALLS,
        span=12,
    )
    allowed = gauge("poll_rate_limit", _HERE)
    panel = lines(about, over_time(calls, "{{project}} {{operation}}"), over_time(allowed, "{{project}} allowed"))
    yield panel.override_by_regexp("/ allowed$/", colours.dashed(colours.UNKNOWN))
    about = About(
        title="Call budget used",
        description="The same as a share of the limit. At 100 % the interval grows with every further user.",
        unit="percentunit",
        empty=NO_CALLS,
        thresholds=colours.above(0.9, 1),
        span=12,
    )
    used = f"{calls} / on (project) group_left () {allowed}"
    yield bounded(lines(about, over_time(used, "{{project}} {{operation}}")))


def _codes() -> Iterator[Builder[Panel]]:
    about = About(
        title="Answers by code",
        description="Calls a minute by HTTP status, or by what came instead of one: timeout, connection_error, "
        "tls_error, invalid_response.",
        unit="short",
        empty=NO_CALLS,
        span=12,
    )
    panel = stacked(about, over_time(per_minute("api_requests_total", "code", where=_HERE), "{{code}}"))
    for codes, colour in colours.CODES.items():
        panel.override_by_regexp(f"/^{codes}$/", colours.fixed(colour))
    yield panel
    failed = per_minute("api_requests_total", "project", "operation", where=f'{_HERE}, code!~"2..|404"')
    throttled = per_minute("api_requests_total", "project", "operation", where=f'{_HERE}, code="429"')
    calls = per_minute("api_requests_total", "project", "operation", where=_HERE)
    for part, bad in ((failed, _FAILED), (throttled, _THROTTLED)):
        # Zeros where nothing has failed: no failure is not the same as no call.
        ratio = f"({part} or 0 * {calls}) / ({calls} > 0)"
        yield bounded(lines(bad, over_time(ratio, "{{project}} {{operation}}")))


def _latency() -> Iterator[Builder[Panel]]:
    bucket = "api_request_duration_seconds_bucket"
    rate = f"rate({series(bucket, _HERE)}[$__rate_interval])"
    about = About(
        title="Time to an answer",
        description="From a call to its whole answer: half of the calls take less than p50, all but one of a hundred "
        "less than p99.",
        unit="s",
        empty=NO_CALLS,
        thresholds=colours.above(2, 8),
        span=12,
    )
    by_operation = f"sum by (le, operation) ({rate})"
    quantiles = (
        over_time(f"histogram_quantile({q}, {by_operation})", f"p{100 * q:g} {{{{operation}}}}")
        for q in (0.5, 0.95, 0.99)
    )
    yield lines(about, *quantiles)
    about = About(
        title="Times to an answer, all of them",
        description="How many calls a minute took how long; the brighter the more.",
        unit="s",
        empty=NO_CALLS,
        span=12,
    )
    yield density(about, buckets(f"60 * sum by (le) ({rate})"))
