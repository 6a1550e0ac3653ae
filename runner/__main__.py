"""``python -m runner``, also installed as ``warmtile``."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point of the console script; returns the exit status."""
    try:
        from runner.app import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
