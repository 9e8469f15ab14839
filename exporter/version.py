"""Which version of the exporter this is."""

import platform
from importlib import resources

from exporter import __version__


def revision() -> str:
    """Return the commit that the package was built from; ``unknown`` when run from its sources."""
    file = resources.files("exporter") / "REVISION"
    return file.read_text("ascii").strip() if file.is_file() else "unknown"


def described() -> str:
    """Return ``0.1.0 (revision 0123456789ab, Python 3.11.7)``."""
    return f"{__version__} (revision {revision()}, Python {platform.python_version()})"
