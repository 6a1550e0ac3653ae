"""What a run shows while it goes: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from runner.tracking.base import BatchPosition, RunInfo, Tracker


class ProgressDisplay(Tracker):
    """Loss, accuracy, stage and time left.

    On a terminal a bar for the whole run, redrawn a few times a second, and nothing else; where
    the output goes to a file or a pipe, one line an epoch.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._n_batches = 0
        self._epochs = 0
        self._shown = 0.0
        self._accuracy = ""
        self._stage = ""
        self._first: tuple[int, float] | None = None

    def start(self, info: RunInfo) -> None:
        """Draw the bar."""
        self._n_batches, self._epochs = info.n_batches, info.epochs
        if not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        done = (info.finished_epochs or 0) * self._n_batches
        total = self._epochs * self._n_batches
        self._task = self._bar.add_task(
            "run", total=total, completed=done, epoch=f"0/{self._epochs}", state=""
        )
        self._bar.start()

    def batch(self, at: BatchPosition) -> None:
        """Move the bar, at most five times a second."""
        if self._bar is None or time.monotonic() - self._shown < 0.2:
            return
        self._shown = time.monotonic()
        self._bar.update(
            self._task,
            completed=at.epoch * self._n_batches + at.batch,
            epoch=f"{at.epoch + 1}/{self._epochs}",
            state=f"loss {at.train_loss:.3f}{self._accuracy}{self._stage}",
        )

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Show the figures of an epoch."""
        split = "val" if "val/accuracy" in metrics else "test"
        self._accuracy = f"  {split} accuracy {100 * metrics[f'{split}/accuracy']:.1f} %"
        stage = metrics.get("warm_start/stage")
        self._stage = "" if stage in (None, "chain") else f"  warm start on device {stage}"
        if self._bar is not None:
            self._bar.update(self._task, completed=metrics["epoch"] * self._n_batches)
            return
        loss = f"  loss {metrics['train/loss']:.4f}" if "train/loss" in metrics else ""
        line = f"epoch {metrics['epoch']}/{self._epochs}{loss}{self._accuracy}{self._stage}"
        line += f"  {metrics['time/epoch_s']:.1f} s{self._eta(metrics['epoch'])}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Nothing moves any more."""
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _eta(self, epoch: int) -> str:
        """Time left, from the mean pace since the first epoch seen in this sitting."""
        now = time.monotonic()
        if self._first is None:
            self._first = (epoch, now)
            return ""
        since, start = self._first
        if epoch >= self._epochs or epoch == since:
            return ""
        left = (now - start) / (epoch - since) * (self._epochs - epoch)
        return f"  ETA {timedelta(seconds=round(left))}"


class ScreenHandler(logging.Handler):
    """Shows log messages above the bar.

    Args:
        console: the one that the bar is drawn on.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the bare message; `extra={"screen": False}` keeps one off the screen."""
        if getattr(record, "screen", True):
            text = record.getMessage()
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
