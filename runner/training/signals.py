"""SIGINT, SIGTERM and SIGUSR2 ask a run to stop at the next mini-batch, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopSignals:
    """A context in which the signals are noted instead of ending the process.

    A second one ends it at once, in the way that it would have without this. Outside the main
    thread, where Python can not catch signals, the context does nothing.

    SIGUSR2 is what submitit lets Slurm send before a job's time ends. Where somebody had a handler
    for it, `hand_over` calls that handler once the checkpoint is written, so that it can requeue.
    """

    CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
    repeats_end = True
    """Whether a second signal ends the process. False in the child of a grid: there the same wish
    may come by two ways, from Slurm and from the parent, and the parent can still kill."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._requeue: Any = None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self.CAUGHT:
                self._before[number] = signal.signal(number, self._note)
            before = self._before[signal.SIGUSR2]
            self._requeue = before if callable(before) else None
        return self

    def hand_over(self) -> None:
        """After the checkpoint of a SIGUSR2: call the handler that was there before, if any."""
        if self.received == signal.SIGUSR2 and self._requeue is not None:
            self._requeue(int(signal.SIGUSR2), None)

    def __exit__(self, *_: object) -> None:
        if self.received is None or self.repeats_end:
            self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is None:
            self.received = signal.Signals(number)
        if self.repeats_end:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
