"""The surroundings in which an exporter finds credentials by a link of the SDK's chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.simulator import (
    DEMO_AGENCY_URN,
    DEMO_ID_TOKEN,
    DEMO_IDP_ID,
    DEMO_POD_TOKEN,
    DEMO_PROVIDER_URN,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LINKS = ["oidc", "identity provider", "file", "ecs", "pod"]
NO_ECS = "http://127.0.0.1:1"


class Cluster:
    """The tokens and variables that a pod, a runner or an ECS has for one link of the chain."""

    def __init__(self, link: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.link = link
        self.token = directory / "token"
        self.token.write_text(DEMO_POD_TOKEN if link == "pod" else DEMO_ID_TOKEN)
        self._directory = directory
        self._set = monkeypatch.setenv

    def point_to(self, url: str) -> dict[str, str]:
        """Set the variables for the simulator at a URL, and return the project's endpoints."""
        variables = {
            "oidc": {
                "HUAWEICLOUD_OIDC_PROVIDER_URN": DEMO_PROVIDER_URN,
                "HUAWEICLOUD_OIDC_AGENCY_URN": DEMO_AGENCY_URN,
                "HUAWEICLOUD_OIDC_TOKEN_FILE": str(self.token),
                "HUAWEICLOUD_SDK_STS_ENDPOINT": url,
            },
            "identity provider": {
                "HUAWEICLOUD_SDK_IDP_ID": DEMO_IDP_ID,
                "HUAWEICLOUD_SDK_ID_TOKEN_FILE": str(self.token),
                "HUAWEICLOUD_SDK_IAM_ENDPOINT": url,
            },
            "file": {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(self._directory / "credentials")},
            "ecs": {},
            "pod": {
                "HC_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/v1/credentials",
                "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token),
            },
        }
        profile = f"[basic]\nidp_id = {DEMO_IDP_ID}\nid_token_file = {self.token}\niam_endpoint = {url}\n"
        (self._directory / "credentials").write_text(profile)
        for name, value in variables[self.link].items():
            self._set(name, value)
        return {"sessions": url, "users": url, "metadata": NO_ECS if self.link == "pod" else url}
