"""Default hosts of the services in each region."""

# Regions where Workspace Application Streaming has its own host.
_APPSTREAM_REGIONS = frozenset({"cn-north-4", "cn-north-9", "cn-east-3", "cn-south-1", "cn-southwest-2"})


def sessions_endpoint(region: str) -> str:
    """Return the address of Workspace Application Streaming, which serves the sessions."""
    service = "appstream" if region in _APPSTREAM_REGIONS else "workspace"
    return f"https://{service}.{region}.myhuaweicloud.com"


def users_endpoint(region: str) -> str:
    """Return the address of Workspace, which serves the users."""
    return f"https://workspace.{region}.myhuaweicloud.com"


def iam_endpoint(region: str) -> str:
    """Return the address of IAM, which issues tokens."""
    return f"https://iam.{region}.myhuaweicloud.com"
