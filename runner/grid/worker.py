"""A job of a grid, as the worker of a launcher runs it."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.config import Config
from runner.config.errors import one_line
from runner.errors import UserError
from runner.grid.child import run_in_child
from runner.grid.ledger import JobRecord, Ledger
from runner.grid.slurm import PreemptionSignals, TimeIsUp
from runner.provenance import GRID, LAUNCHER, RAY_NODE
from runner.tracking.jsonl import read_metrics
from runner.training.resume import finished_before


def run_grid_job(cfg: Config, number: int, ledger: Ledger, launcher: str) -> float | None:
    """Run one job, or skip it where it is finished; note in the ledger how it went. Never raises.

    Under Slurm a job that is to be requeued ends its process instead of returning: whatever it
    returned would be taken for its result.

    Args:
        cfg: the job.
        number: of the job in its grid.
        ledger: of the grid.
        launcher: name of Hydra's launcher, e.g. ``joblib``.

    Returns:
        best ``val/accuracy``, for a sweeper that searches; None for a job that did not finish, or
        has no validation images.
    """
    work = _Work(cfg, number, ledger, launcher)
    if launcher == "slurm":
        return _under_slurm(work, ledger)
    if launcher != "joblib":
        return None if ledger.stopping() else work.do(ledger.stopping)
    # Ctrl-C goes to every process of a terminal; the one that has the ledger answers it. A worker
    # that died of it would make joblib kill all the others.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    metric = None
    if not ledger.stopping() and not ledger.orphaned():
        metric = work.do(lambda: ledger.stopping() or ledger.orphaned())
    if ledger.orphaned():
        os._exit(1)  # nobody waits for the answer, and joblib would wait for work for minutes
    return metric


def _under_slurm(work: _Work, ledger: Ledger) -> float | None:
    """Slurm's jobs go on without the command that submitted them, and may be started again."""
    if ledger.stopping():
        return None
    with PreemptionSignals() as signals:
        work.begin()
        outcome = work.train(lambda: ledger.stopping() or signals.received is not None)
        if outcome.state == "interrupted" and signals.received and not ledger.stopping():
            if signals.will_start_again():
                work.end(_Outcome("requeued"), ended=False)
                try:
                    signals.requeue()
                except TimeIsUp as error:
                    outcome = _Outcome("interrupted", str(error))
            else:
                outcome = _Outcome("interrupted", "cancelled in Slurm")
        work.end(outcome)
    return outcome.metric


@dataclass(frozen=True)
class _Outcome:
    state: str
    message: str | None = None
    metric: float | None = None


class _Work:
    """One job and its record."""

    def __init__(self, cfg: Config, number: int, ledger: Ledger, launcher: str) -> None:
        self._cfg = cfg
        self._ledger = ledger
        self._place = {GRID: ledger.name(), LAUNCHER: launcher} | _ray_node()
        self._record = JobRecord(number, cfg.run.dir, "running")

    def do(self, stop: Callable[[], bool]) -> float | None:
        """All of it."""
        self.begin()
        outcome = self.train(stop)
        self.end(outcome)
        return outcome.metric

    def begin(self) -> None:
        """Put down that it runs."""
        self._record = dataclasses.replace(
            self._record,
            started=time.time(),
            since=_epochs_done(self._ledger.cwd() / self._cfg.run.dir),
        )
        self._ledger.write(self._record)

    def train(self, stop: Callable[[], bool]) -> _Outcome:
        """Train, or see that it is done."""
        cwd = self._ledger.cwd()
        try:
            summary = finished_before(self._cfg, cwd)
            if summary is not None:
                return _Outcome("skipped", None, (summary.get("best") or {}).get("val/accuracy"))
            result = run_in_child(self._cfg, stop, cwd, self._place)
        except Exception as error:  # noqa: BLE001  (one job must not end the others)
            known = isinstance(error, (UserError, OSError))
            text = str(error) if known else f"{type(error).__name__}: {error}"
            return _Outcome("failed", one_line(text))
        # A run that diverged was good once, but its setting is not.
        metric = result.metric if result.status == "finished" else None
        return _Outcome(result.status, result.message, metric)

    def end(self, outcome: _Outcome, ended: bool = True) -> None:
        """Put down how it went; `ended` is False where it will go on."""
        self._ledger.write(
            dataclasses.replace(
                self._record,
                state=outcome.state,
                message=outcome.message,
                ended=time.time() if ended else None,
            )
        )


def _ray_node() -> dict[str, str]:
    """Ray tells its own workers only, not their children."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return {}
    return {RAY_NODE: ray.get_runtime_context().get_node_id()}


def _epochs_done(run_dir: Path) -> int:
    try:
        lines = read_metrics(run_dir / "metrics.jsonl")
        return int(lines[-1]["epoch"]) if lines else 0
    except (OSError, ValueError):
        return 0
