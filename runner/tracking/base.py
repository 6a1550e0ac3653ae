"""The interface of a tracker, and the trackers of a run behind it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
        grid: name of the grid that the run is a job of, the same for every start of its command;
            None for a single run.
    """

    run_dir: Path
    config: Mapping[str, Any]
    n_batches: int
    epochs: int
    finished_epochs: int | None = None
    grid: str | None = None


@dataclass(frozen=True)
class Histogram:
    """How many values lie in each bin.

    Args:
        counts: ``[bins]``, whole numbers.
        edges: ``[bins + 1]``, ascending; a bin has its lower edge, the last one both.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]


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

    The order of calls is `start`, then `batch` and `epoch` in turn, `histograms` before each
    `epoch` for those that want them, `finish` once the summary is written, however the run ended,
    and `close` in any case: where a method raised, right after it.
    """

    wants_histograms = False
    """Whether `histograms` does something: they are computed only if some tracker wants them."""

    def start(self, info: RunInfo) -> None:
        """The run begins, or goes on."""

    def batch(self, at: BatchPosition) -> None:
        """A mini-batch is done; called often, so it must be cheap."""

    def histograms(self, epoch: int, found: Mapping[str, Histogram]) -> None:
        """The histograms of an epoch whose metrics follow."""

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """An epoch is done; `metrics` is its line of metrics.jsonl."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """This sitting is over; `summary` is its summary.json, the picture is drawn."""

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

    @property
    def wants_histograms(self) -> bool:  # type: ignore[override]
        """Whether some tracker wants histograms."""
        return any(tracker.wants_histograms for tracker in self._others)

    def histograms(self, epoch: int, found: Mapping[str, Histogram]) -> None:
        """See `Tracker.histograms`."""
        self._guarded(lambda tracker: tracker.histograms(epoch, found))

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
            try:
                tracker.close()
            except Exception:
                log.debug("%s could not be closed", name, exc_info=True)


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's metrics, as they can be drawn.

    The stage is the index of the device that the warm start is on, and 0 for the chain, which has
    none (device 0 is never a target). What was not counted (None) and what is no number (NaN, an
    infinity; null in metrics.jsonl) is left out.
    """
    found = {}
    for name, value in metrics.items():
        number = 0 if name == STAGE and value == CHAIN else value
        if isinstance(number, int | float) and math.isfinite(number):
            found[name] = number
    return found


STAGE, CHAIN = "warm_start/stage", "chain"
