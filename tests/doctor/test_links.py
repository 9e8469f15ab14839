"""The doctor reports which link of the SDK's chain is used, what a link lacks and what to do, and shows no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.clusters import NO_ECS, Cluster
from support.diagnosis import HUSH, Diagnosis, diagnose, frozen
from support.exporters import project

from exporter.simulator import DEMO_ID_TOKEN, DEMO_POD_TOKEN, Simulator, SimulatorOptions, parse_faults

if TYPE_CHECKING:
    from pathlib import Path


async def diagnosis_of(cluster: Cluster, simulator: Simulator, **endpoints: str) -> Diagnosis:
    """Diagnose a project without `auth` in a cluster."""
    async with simulator.serve() as url:
        named = cluster.point_to(url) | {name: value or url for name, value in endpoints.items()}
        diagnosis = await diagnose(project(simulator, url, auth={}, endpoints=named))
    for secret in (DEMO_ID_TOKEN, DEMO_POD_TOKEN):
        assert secret not in diagnosis.text
    return diagnosis


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(request.param, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("cluster", "endpoint", "source"),
    [
        (
            "oidc",
            "(sessions, users, sts)",
            "and HUAWEICLOUD_OIDC_TOKEN_FILE of the environment (the SDK's chain): accepted, renewed automatically",
        ),
        (
            "identity provider",
            "(sessions, users, iam)",
            "HUAWEICLOUD_SDK_IDP_ID and HUAWEICLOUD_SDK_ID_TOKEN_FILE of the environment (the SDK's chain): accepted",
        ),
        ("file", "(sessions, users, iam)", "/credentials (the SDK's chain): accepted"),
        ("ecs", "(sessions, users, metadata)", "the agency of this ECS (the SDK's chain): accepted"),
        (
            "pod",
            "(sessions, users, pod identity)",
            "the agency of this pod by HC_CONTAINER_CREDENTIALS_FULL_URI (the SDK's chain): accepted",
        ),
    ],
    indirect=["cluster"],
)
async def test_the_link_in_use_is_named(cluster: Cluster, endpoint: str, source: str) -> None:
    diagnosis = await diagnosis_of(cluster, frozen())
    assert diagnosis.healthy
    assert endpoint in diagnosis.text
    assert source in diagnosis.text


@pytest.mark.parametrize("cluster", ["pod"], indirect=True)
async def test_a_pod_needs_no_ecs(cluster: Cluster) -> None:
    diagnosis = await diagnosis_of(cluster, frozen())
    assert f"{NO_ECS} (metadata) is unreachable" in diagnosis.only("skip")
    assert diagnosis.only("skip").endswith("; the pod identity takes its place")


@pytest.mark.parametrize("cluster", ["pod"], indirect=True)
async def test_the_agency_of_an_ecs_goes_before_that_of_a_pod(cluster: Cluster) -> None:
    diagnosis = await diagnosis_of(cluster, frozen(), metadata="")
    assert diagnosis.healthy
    assert "the agency of this ECS, or of this pod by HC_CONTAINER_CREDENTIALS_FULL_URI" in diagnosis.text


@pytest.mark.parametrize("cluster", ["oidc"], indirect=True)
async def test_an_id_token_that_nothing_renews_is_a_warning(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_OIDC_ID_TOKEN", DEMO_ID_TOKEN)
    diagnosis = await diagnosis_of(cluster, frozen())
    assert diagnosis.healthy
    assert "HUAWEICLOUD_OIDC_ID_TOKEN of the environment" in diagnosis.only("warn")
    assert "use a file that is kept up to date" in diagnosis.only("warn")


@pytest.mark.parametrize(
    ("cluster", "variable", "value", "text"),
    [
        ("oidc", "HUAWEICLOUD_OIDC_AGENCY_URN", "", "but not HUAWEICLOUD_OIDC_AGENCY_URN"),
        ("oidc", "HUAWEICLOUD_OIDC_TOKEN_FILE", "/away", "names /away, which cannot be read: No such file"),
        ("oidc", "HUAWEICLOUD_SDK_STS_ENDPOINT", f"sts/{HUSH}", "HUAWEICLOUD_SDK_STS_ENDPOINT must be an http"),
        ("identity provider", "HUAWEICLOUD_SDK_ID_TOKEN_FILE", "", "but not HUAWEICLOUD_SDK_ID_TOKEN_FILE"),
        ("ecs", "HUAWEICLOUD_SDK_SK", HUSH, "but not HUAWEICLOUD_SDK_AK"),
        ("pod", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "", "but not HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    ],
    indirect=["cluster"],
)
async def test_what_a_link_lacks_is_a_failure(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, text: str
) -> None:
    """Nothing is requested with it."""
    simulator = frozen()
    async with simulator.serve() as url:
        endpoints = cluster.point_to(url)
        monkeypatch.setenv(variable, value)
        diagnosis = await diagnose(project(simulator, url, auth={}, endpoints=endpoints))
    assert text in diagnosis.only("FAIL")
    assert "complete or correct it" in diagnosis.only("FAIL")
    assert not simulator.calls.counts


@pytest.mark.parametrize(
    ("cluster", "text", "remedy"),
    [
        ("oidc", "STS rejects the ID token, or its use of the agency (400 STS.0401", "the agency trusts the OIDC"),
        ("identity provider", "IAM rejects the ID token (401", "the identity provider in IAM has its issuer"),
        ("file", "IAM rejects the ID token (401", "the identity provider in IAM has its issuer"),
        ("pod", "the pod identity agent rejects the token of the service account (401 CCE", "with an agency"),
    ],
    indirect=["cluster"],
)
async def test_a_rejected_token_is_tried_once(cluster: Cluster, text: str, remedy: str) -> None:
    simulator = frozen()
    cluster.token.write_text(f"{HUSH}-token")
    diagnosis = await diagnosis_of(cluster, simulator)
    assert text in diagnosis.only("FAIL")
    assert remedy in diagnosis.only("FAIL")
    assert sum(count for (name, _), count in simulator.calls.counts.items() if name != "unknown") == 1


@pytest.mark.parametrize("cluster", ["oidc"], indirect=True)
async def test_a_region_without_sts_needs_that_of_another_region(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = frozen()
    async with simulator.serve() as url:
        endpoints = cluster.point_to(url)
        monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", "http://127.0.0.1:1")
        diagnosis = await diagnose(project(simulator, url, auth={}, endpoints=endpoints))
    assert "http://127.0.0.1:1 (sts) is unreachable" in diagnosis.only("FAIL")
    assert "set HUAWEICLOUD_SDK_STS_ENDPOINT to that of another region" in diagnosis.text


@pytest.mark.parametrize("cluster", ["ecs"], indirect=True)
async def test_without_any_link_the_remedy_lists_how_each_begins(cluster: Cluster) -> None:
    simulator = Simulator(SimulatorOptions(speed=0, faults=parse_faults("SecurityKey:404=1")))
    diagnosis = await diagnosis_of(cluster, simulator)
    assert "auth is not set, the SDK's environment and file have no keys" in diagnosis.only("FAIL")
    for first in ("OIDC_PROVIDER_URN", "SDK_IDP_ID", "SDK_AK", "huaweicloud/credentials", "CREDENTIALS_FULL_URI"):
        assert first in diagnosis.only("FAIL")
