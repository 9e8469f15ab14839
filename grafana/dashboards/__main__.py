"""Writes the dashboards as JSON: `python -m dashboards grafana`."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.files import files

if __name__ == "__main__":
    for name, content in files().items():
        (Path(sys.argv[1]) / name).write_text(content, "utf-8")
