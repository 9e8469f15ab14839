"""`python -m exporter` is the command `workspace-exporter`."""

import gc
import sys


def main() -> int:
    """Run the command that the arguments name, and return the exit code.

    The garbage collector never examines imported objects, which stay anyway. Each pass over them would take tens of
    milliseconds, at the start and later.
    """
    gc.disable()
    from exporter.cli import main as run  # noqa: PLC0415 - imports have to follow gc.disable

    gc.freeze()
    gc.enable()
    return run()


if __name__ == "__main__":
    sys.exit(main())
