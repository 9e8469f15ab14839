"""Commands that are run to their end."""

from __future__ import annotations

import asyncio
import subprocess


async def said(*command: str) -> tuple[int, str]:
    """Exit code of a command, and all that it says."""
    done = await asyncio.to_thread(
        subprocess.run, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout
