"""The interface of a tracker, and the trackers of a run behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told at the start.

    Args:
        run_dir: the run folder.
        config: the resolved configuration as a plain dict.
        n_batches: mini-batches of an epoch.
        epochs: epochs to train.
        finished_epochs: epochs done in earlier sittings; None for a fresh run.
    """

    run_dir: Path
    config: Mapping[str, Any]
    n_batches: int
    epochs: int
    finished_epochs: int | None = None


class BatchPosition(Protocol):
    """The part of a run's position that a tracker may look at."""

    @property
    def epoch(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...


class Tracker:
    """Base of all trackers; a method that is not overridden does nothing.

    The order of calls is `start`, then `batch` and `epoch` in turn, `finish` for a run that came
    to an end by itself, and `close` in any case.
    """

    def start(self, info: RunInfo) -> None:
        """The run begins, or goes on."""

    def batch(self, at: BatchPosition) -> None:
        """A mini-batch is done; called often, so it must be cheap."""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """An epoch is done; `metrics` is its line of metrics.jsonl."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The run is done; `summary` is its summary.json."""

    def close(self) -> None:
        """Let go of files and terminals; nothing is called after it."""


class Trackers(Tracker):
    """The record of a run, which must not fail, and any number of others, which may.

    An exception in one of `others` is logged, and that tracker is left alone for the rest of the
    run. One in `record` goes through: a run whose metrics can not be written must not go on as if
    they were.

    Args:
        record: writes metrics.jsonl.
        others: everything else.
    """

    def __init__(self, record: Tracker, others: Sequence[Tracker] = ()) -> None:
        self._record = record
        self._others = list(others)

    def start(self, info: RunInfo) -> None:
        """See `Tracker.start`."""
        self._record.start(info)
        self._guarded(lambda tracker: tracker.start(info))

    def batch(self, at: BatchPosition) -> None:
        """See `Tracker.batch`; the record does not see mini-batches."""
        self._guarded(lambda tracker: tracker.batch(at))

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """See `Tracker.epoch`."""
        self._record.epoch(metrics)
        self._guarded(lambda tracker: tracker.epoch(metrics))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """See `Tracker.finish`."""
        self._record.finish(summary)
        self._guarded(lambda tracker: tracker.finish(summary))

    def close(self) -> None:
        """See `Tracker.close`."""
        self._guarded(lambda tracker: tracker.close())
        self._record.close()

    def _guarded(self, call: Callable[[Tracker], None]) -> None:
        for tracker in tuple(self._others):
            self._try(tracker, call)

    def _try(self, tracker: Tracker, call: Callable[[Tracker], None]) -> None:
        try:
            call(tracker)
        except Exception as error:
            self._others.remove(tracker)
            name = type(tracker).__name__
            log.warning("%s failed and is left out from now on: %s", name, error)
            log.debug("%s failed", name, exc_info=True)
