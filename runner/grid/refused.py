"""How a launcher or a sweeper tells the command that it can not begin."""

from __future__ import annotations

import sys

EXIT_REFUSED = 2


class Refused(SystemExit):
    """The user's mistake, or the machine's, that only shows when jobs are handed over.

    Hydra answers an exception with paragraphs of its own; it lets this one through.

    Args:
        message: one line.
    """

    def __init__(self, message: str) -> None:
        print(f"warmtile: {message}", file=sys.stderr)
        super().__init__(EXIT_REFUSED)
