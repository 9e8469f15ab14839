"""``python -m exporter`` is the command ``workspace-exporter``."""

import gc
import sys


def main() -> int:
    """Run the command that the arguments name; returns the exit code.

    What is imported stays, so the garbage collector is never to look at it: not while it is imported, where that takes
    time for nothing, and not later, where that would hold up all else for tens of milliseconds each time.
    """
    gc.disable()
    from exporter import cli  # noqa: PLC0415 - it is this import that must come after

    gc.freeze()
    gc.enable()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
