"""Default hosts of the services, region by region."""

from __future__ import annotations

# Where Workspace Application Streaming has a host of its own.
_APPSTREAM_REGIONS = frozenset({"cn-north-4", "cn-north-9", "cn-east-3", "cn-south-1", "cn-southwest-2"})


def sessions_endpoint(region: str) -> str:
    """Host of Workspace Application Streaming, which knows the sessions."""
    service = "appstream" if region in _APPSTREAM_REGIONS else "workspace"
    return f"https://{service}.{region}.myhuaweicloud.com"


def users_endpoint(region: str) -> str:
    """Host of Workspace, which knows the users."""
    return f"https://workspace.{region}.myhuaweicloud.com"


def iam_endpoint(region: str) -> str:
    """Host of IAM, which issues tokens."""
    return f"https://iam.{region}.myhuaweicloud.com"
