"""`workspace-exporter doctor`: queries the real endpoints once, and reports what works and how to fix what does not."""

from exporter.doctor.examination import run

__all__ = ["run"]
