"""A grid's job inside Slurm: what the signals mean, and how it is started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from types import FrameType
from typing import Any

from runner.config.errors import one_line


class TimeIsUp(Exception):
    """The job's time has ended, and so has the number of times that it may be started again."""


class PreemptionSignals:
    """A context, around the work of a job, that notes the signals Slurm sends to it.

    SIGUSR2 comes ``hydra.launcher.signal_delay_s`` before the time limit (or before the end of a
    partition's grace): submitit's handler, which was there before, requeues the job. SIGTERM comes
    when Slurm itself requeues a job (preemption, ``scontrol requeue``) or cancels it; SIGKILL
    follows after the cluster's KillWait, 30 s by default.
    """

    _CAUGHT = (signal.SIGTERM, signal.SIGUSR2)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> PreemptionSignals:
        for number in self._CAUGHT:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        # SIGTERM after SIGUSR2 is the end of the grace: Slurm requeues, and nobody else should.
        self.received = signal.Signals(number)

    def will_start_again(self) -> bool:
        """Whether this job comes back, by Slurm's doing or by ours."""
        return self.received == signal.SIGUSR2 or requeued_by_slurm()

    def requeue(self) -> None:
        """End this process in the way that makes Slurm start the job again; does not return.

        Raises:
            TimeIsUp: submitit does not requeue any more.
        """
        submitits = self._before[signal.SIGUSR2]
        if self.received == signal.SIGUSR2 and callable(submitits):
            try:
                submitits(int(signal.SIGUSR2), None)
            except Exception as error:  # submitit's UncompletedJobError, or scontrol's failure
                raise TimeIsUp(
                    f"the time limit is reached ({one_line(str(error))}): the same command goes on "
                    "from here; hydra.launcher.max_num_timeout requeues by itself"
                ) from error
        raise SystemExit(1)  # not a result: submitit writes one for what returns


def requeued_by_slurm() -> bool:
    """Whether Slurm has put this job back into the queue: it counts a restart at once."""
    job = os.environ.get("SLURM_JOB_ID", "")
    try:
        done = subprocess.run(
            ["scontrol", "show", "job", "--oneliner", job],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r"\bRestarts=(\d+)", done.stdout)
    return found is not None and int(found[1]) > int(os.environ.get("SLURM_RESTART_COUNT", "0"))
