"""`workspace-exporter doctor`: asks the real endpoints once, and says line by line what works and what to do.

What is asked is in :mod:`.probe` and :mod:`.interview`; the other modules are pure, and turn what came of it into
findings. No finding names a user or holds a secret.
"""

from exporter.doctor.command import run

__all__ = ["run"]
