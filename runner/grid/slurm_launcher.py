"""Hydra's launcher for Slurm: hydra-submitit-launcher, but it waits as a grid has to.

The plugin asks ``sacct`` how its jobs do, which many small clusters lack, and ends with the first
job that dies. Here ``squeue`` is asked, a dead job is recorded, and the others go on.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as _Plugin
from omegaconf import OmegaConf

from runner.config.errors import one_line
from runner.grid.ledger import JobRecord, Ledger
from runner.grid.refused import Refused

_POLL_S = 0.5
_ASK_S = 5.0
_GRACE_S = 20.0
"""A shared folder may show an answer later than Slurm shows the job's end."""
_ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "GONE",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)


class SlurmLauncher(_Plugin):
    """Submits the jobs of a grid as one job array, and waits for their answers."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit and wait.

        Args:
            job_overrides: of each job.
            initial_job_idx: number of the first.

        Raises:
            Refused: Slurm does not take the jobs.
        """
        assert self.config is not None
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit repeats what sbatch says
                jobs = self._submit(job_overrides, initial_job_idx)
        except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
            raise Refused(f"hydra/launcher=slurm: {_reason(error)}") from error
        waiting = _Waiting(jobs, Ledger(Path(str(self.config.hydra.sweep.dir))), initial_job_idx)
        return waiting.answers()

    def _submit(
        self, job_overrides: Sequence[Sequence[str]], first: int
    ) -> Sequence[submitit.Job[Any]]:
        """The plugin's own parameters, handed to submitit as it does."""
        common = set(OmegaConf.structured(BaseQueueConf).keys())
        params = {
            name if name in common else f"slurm_{name}": value
            for name, value in self.params.items()
            if name not in ("submitit_folder", "max_num_timeout") and value is not None
        }
        # From Slurm 22.05 on a step does not take over what its job asked for.
        cpus = self.params["cpus_per_task"]
        params["slurm_srun_args"] = [f"--cpus-per-task={cpus}"] if cpus else []
        executor = submitit.AutoExecutor(
            folder=self.params["submitit_folder"],
            cluster="slurm",
            slurm_max_num_timeout=self.params["max_num_timeout"],
        )
        executor.update_parameters(**params)
        arguments = [
            (list(overrides), "hydra.sweep.dir", first + i, f"{first + i}", Singleton.get_state())
            for i, overrides in enumerate(job_overrides)
        ]
        return executor.map_array(self, *zip(*arguments, strict=True))


class _Waiting:
    """Submitted jobs, until each has answered or is gone."""

    def __init__(self, jobs: Sequence[submitit.Job[Any]], ledger: Ledger, first: int) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._first = first
        self._open = set(range(len(jobs)))
        self._found: dict[int, Any] = {}
        self._gone_since: dict[int, float] = {}
        self._cancelled = False

    def answers(self) -> list[JobReturn]:
        """What the jobs returned, in their order; None for those that did not."""
        asked = time.monotonic()
        while self._open:
            for i in sorted(self._open):
                if self._jobs[i].paths.result_pickle.exists():
                    self._collect(i)
            if self._ledger.stopping() and not self._cancelled:
                self._cancelled = True
                # What runs ends by itself, with a checkpoint; what waits in the queue need not.
                self._slurm("scancel", "--state=PENDING", *self._array_ids())
            if time.monotonic() - asked > (1.0 if self._cancelled else _ASK_S):
                asked = time.monotonic()
                self._look_for_the_dead()
            time.sleep(_POLL_S)
        answers = []
        for i in range(len(self._jobs)):
            answer = JobReturn(status=JobStatus.COMPLETED)
            answer.return_value = self._found.get(i)
            answers.append(answer)
        return answers

    def _collect(self, i: int) -> None:
        """Take an answer; what is in it is never raised, for the others' sake."""
        self._open.discard(i)
        job = self._jobs[i]
        try:
            answer = job.result()
            self._found[i] = answer.return_value
        except Exception as error:  # noqa: BLE001  (whatever a job may have pickled)
            self._record(i, f"{type(error).__name__}: {str(error).splitlines()[0]}")

    def _look_for_the_dead(self) -> None:
        states = self._states()
        if states is None:
            return
        now = time.monotonic()
        for i in sorted(self._open):
            state = states.get(self._jobs[i].job_id, "GONE")
            if state not in _ENDED:
                self._gone_since.pop(i, None)
                continue
            since = self._gone_since.setdefault(i, now)
            record = self._ledger.read().get(self._first + i)
            if self._cancelled and record is None:
                self._open.discard(i)  # never begun
            elif now - since > _GRACE_S:
                self._open.discard(i)
                self._record(i, f"ended in Slurm without an answer, state {state}")

    def _record(self, i: int, message: str) -> None:
        number, job = self._first + i, self._jobs[i]
        before = self._ledger.read().get(number)
        if before is not None and before.ended is not None:
            return
        text = one_line(f"Slurm's job {job.job_id}: {message}; its log is {job.paths.stderr}")
        begun = before or JobRecord(number, f"(job {number})", "failed", started=time.time())
        self._ledger.write(
            JobRecord(
                number, begun.run_dir, "failed", text, begun.started, time.time(), begun.since
            )
        )

    def _array_ids(self) -> list[str]:
        return sorted({job.job_id.partition("_")[0] for job in self._jobs})

    def _states(self) -> dict[str, str] | None:
        """State by job; a job that Slurm has forgotten is absent. None where Slurm is silent."""
        done = self._slurm(
            "squeue",
            "--noheader",
            "--array",
            "--states=all",
            "--format=%i %T",
            f"--jobs={','.join(self._array_ids())}",
        )
        if done is None or (done.returncode != 0 and "Invalid job id" not in done.stderr):
            return None
        return dict(line.split(None, 1) for line in done.stdout.splitlines() if line.strip())

    @staticmethod
    def _slurm(*words: str) -> subprocess.CompletedProcess[str] | None:
        try:
            return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    lines = [line.strip() for line in text.splitlines() if "error" in line.lower()]
    return one_line((lines or [text.strip()])[-1])[:300]
