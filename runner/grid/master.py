"""The command that starts a grid: signals, overview, exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from runner.config import Config
from runner.grid.ledger import Ledger
from runner.grid.overview import Overview

EXIT_FAILED = 1


class Grid:
    """A context around the launcher's work.

    The first SIGINT or SIGTERM lets the running jobs write their checkpoints, and no other
    begins; the second ends the command at once (the jobs then still write their checkpoints: they
    notice that it is gone).

    Args:
        configs: the jobs; None where a sweeper makes them up as it goes.
        sweep_dir: folder of the runs.
        overrides: of the command line.
        console: for the overview.
    """

    def __init__(
        self,
        configs: Sequence[Config] | None,
        sweep_dir: Path,
        overrides: Sequence[str],
        console: Console | None = None,
    ) -> None:
        self._console = console or Console()
        self._ledger = Ledger.create(sweep_dir, overrides)
        self._overview = Overview(self._ledger, configs, self._console)
        self._sweep_dir = sweep_dir
        self._before: dict[int, Any] = {}
        self._signal: signal.Signals | None = None

    def __enter__(self) -> Grid:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        self._overview.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._overview.__exit__()
        self._restore()
        self._ledger.close()

    @property
    def folder(self) -> Path:
        """The ledger's, absolute."""
        return self._ledger.folder

    def discard(self) -> None:
        """Leave no trace of a grid whose launcher refused it."""
        self._ledger.discard()

    def report(self) -> int:
        """Say how the grid ended.

        Returns:
            exit status: 0 if every job is finished, 128 plus the signal's number for a grid that
            was stopped, otherwise 1.
        """
        jobs = self._overview.jobs
        console = self._console
        console.print(self._overview.counts(), highlight=False)
        bad = [job for job in jobs.values() if job.state not in ("finished", "skipped")]
        for job in bad:
            if job.record is not None and job.state != "interrupted":
                text = f"  {job.state}: {job.folder}: {job.record.message}"
                console.print(text, highlight=False, markup=False, soft_wrap=True)
        if self._signal is not None:
            text = f"warmtile: {self._signal.name}: stopped; the same command goes on from here"
            print(text, file=sys.stderr)
            return 128 + self._signal
        console.print(f"python -m runner.report {self._sweep_dir}", highlight=False, soft_wrap=True)
        return EXIT_FAILED if bad else 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._signal = signal.Signals(number)
        self._restore()
        self._ledger.ask_to_stop()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
