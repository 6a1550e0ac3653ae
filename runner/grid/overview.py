"""All jobs of a grid at a glance, while they run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.config import Config
from runner.grid.ledger import JobRecord, Ledger
from runner.tracking.jsonl import read_metrics

_EVERY_S = 0.5
_ROWS = 24
_GOOD = ("finished", "skipped")
_STYLES = {
    "running": "bold",
    "finished": "green",
    "skipped": "dim",
    "waiting": "dim",
    "interrupted": "yellow",
    "requeued": "yellow",
}


@dataclass
class Job:
    """What is shown of a job.

    Args:
        name: of its run folder.
        folder: its run folder; relative to the working folder.
        epochs: to train.
        record: from the ledger; None while it waits.
        lines: its metrics.
    """

    name: str
    folder: Path
    epochs: int | None
    record: JobRecord | None = None
    lines: Sequence[dict[str, Any]] = ()

    @property
    def state(self) -> str:
        """Of the record, or waiting."""
        return "waiting" if self.record is None else self.record.state

    @property
    def epoch(self) -> int:
        """Last epoch that is done."""
        return self.lines[-1]["epoch"] if self.lines else 0

    @property
    def accuracy(self) -> str:
        """Newest, of validation images where there are any."""
        if not self.lines:
            return ""
        last = self.lines[-1]
        name = "val" if "val/accuracy" in last else "test"
        return f"{100 * last[f'{name}/accuracy']:.1f} % {name}"

    def seconds_left(self, now: float) -> float | None:
        """From the pace of this command; None before its first epoch is done."""
        if self.record is None or self.state != "running" or self.epochs is None:
            return None
        done = self.epoch - self.record.since
        if done <= 0:
            return None
        return (now - self.record.started) / done * (self.epochs - self.epoch)


class Overview:
    """A table that redraws itself on a terminal, a line for each event elsewhere.

    Args:
        ledger: of the grid.
        configs: its jobs; None where a sweeper makes them up as it goes.
        console: where to draw.
    """

    def __init__(self, ledger: Ledger, configs: Sequence[Config] | None, console: Console) -> None:
        self._ledger = ledger
        self._console = console
        self._complete = configs is not None
        self.jobs = {
            i: Job(Path(cfg.run.dir).name, Path(cfg.run.dir), cfg.run.epochs)
            for i, cfg in enumerate(configs or ())
        }
        self._told: dict[int, str] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="overview", daemon=True)
        self._started = time.time()
        self._live: Live | None = None

    def __enter__(self) -> Overview:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True, redirect_stdout=False
            )
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._live is not None:
            self._live.stop()
        self.look()
        self._tell()

    def _run(self) -> None:
        while not self._done.wait(_EVERY_S):
            self.look()
            self._tell()
            if self._live is not None:
                self._live.update(self.table(), refresh=True)

    def look(self) -> None:
        """Read the ledger and the metrics of the jobs at work."""
        for number, record in self._ledger.read().items():
            folder = Path(record.run_dir)
            job = self.jobs.setdefault(number, Job(folder.name, folder, None))
            ended = job.record is not None and job.record.ended is not None
            job.record = record
            if ended:
                continue
            try:
                job.lines = read_metrics(folder / "metrics.jsonl")
            except (OSError, ValueError):
                job.lines = ()

    def _tell(self) -> None:
        """Say at once what has begun, ended or failed."""
        for number, job in self.jobs.items():
            if job.record is None or self._told.get(number) == job.state:
                continue
            self._told[number] = job.state
            bad = job.record.ended is not None and job.state not in _GOOD
            if self._live is not None and not bad:
                continue
            text = f"{self._count(number)}  {job.name}: {job.state}"
            if job.record.message:
                text += f": {job.record.message}"
            elif job.record.ended is not None:
                text += f", {job.accuracy}"
                if job.state != "skipped":
                    text += f", {_time(job.record.ended - job.record.started)}"
            style = "red" if bad and job.state != "interrupted" else ""
            self._console.print(
                Text(text, style=style), highlight=False, soft_wrap=True, markup=False
            )

    def _count(self, number: int) -> str:
        return f"{number + 1}/{len(self.jobs)}" if self._complete else str(number + 1)

    def table(self) -> RenderableType:
        """The picture of the moment: what runs first, then what failed, then the newest others."""
        now = time.time()
        table = Table(box=None, pad_edge=False)
        for head in ("job", "run", "state", "epoch", "accuracy", "time", "left"):
            table.add_column(head, justify="left" if head in ("run", "state") else "right")
        shown = sorted(self.jobs.items(), key=_interest)[:_ROWS]
        for number, job in sorted(shown):
            record = job.record
            spent = "" if record is None else _time((record.ended or now) - record.started)
            left = job.seconds_left(now)
            epochs = "?" if job.epochs is None else job.epochs
            table.add_row(
                self._count(number),
                job.name,
                Text(job.state, style=_STYLES.get(job.state, "red")),
                f"{job.epoch}/{epochs}" if record is not None else "",
                job.accuracy,
                spent,
                "" if left is None else _time(left),
            )
        more = len(self.jobs) - len(shown)
        head = self.counts() + self._whole(now) + (f"; {more} not shown" if more else "")
        return Group(Text(head), table)

    def counts(self) -> str:
        """E.g. ``12 jobs: 9 finished, 2 running, 1 failed``."""
        found = Counter(job.state for job in self.jobs.values())
        words = {"skipped": "finished earlier"}
        parts = [f"{n} {words.get(state, state)}" for state, n in found.most_common()]
        return f"{len(self.jobs)} jobs: {', '.join(parts)}" if parts else "no job yet"

    def _whole(self, now: float) -> str:
        """Time left for the grid, from the share of all epochs that this command has done."""
        todo = done = 0.0
        for job in self.jobs.values():
            if job.epochs is None or not self._complete:
                return ""
            if job.state == "skipped":
                continue
            since = 0 if job.record is None else job.record.since
            todo += max(job.epochs - since, 0)
            over = job.record is not None and job.record.ended is not None
            done += max(job.epochs - since, 0) if over else max(job.epoch - since, 0)
        if done == 0 or done >= todo:
            return ""
        return f"; about {_time((now - self._started) / done * (todo - done))} left"


def _interest(item: tuple[int, Job]) -> tuple[int, float]:
    """Sorts what one wants to see to the front."""
    number, job = item
    if job.state == "running":
        return 0, number
    if job.state == "waiting":
        return 3, number
    ended = (job.record and job.record.ended) or 0.0
    return (2 if job.state in _GOOD else 1), -ended


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(max(seconds, 0))))
