"""Puts the commit that a wheel is built from into it, for the metric `exporter_build_info`."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RevisionHook(BuildHookInterface):  # type: ignore[type-arg] # the builder's configuration is not looked at
    """Adds the file `exporter/REVISION` where the sources are a git checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Ask git, and include what it says."""
        command = ["git", "-C", self.root, "rev-parse", "--short=12", "HEAD"]
        try:
            queried = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 - constant
        except (OSError, subprocess.CalledProcessError):
            return  # built from an archive of the sources
        file = Path(tempfile.mkdtemp()) / "REVISION"
        file.write_text(queried.stdout)
        build_data["force_include"][str(file)] = "exporter/REVISION"
