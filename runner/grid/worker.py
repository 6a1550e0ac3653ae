"""A job of a grid, as the worker of a launcher runs it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from runner.config import Config
from runner.config.errors import one_line
from runner.errors import UserError
from runner.grid.child import run_in_child
from runner.grid.ledger import JobRecord, Ledger
from runner.tracking.jsonl import read_metrics
from runner.training.resume import finished_before


def run_grid_job(cfg: Config, number: int) -> float | None:
    """Run one job, or skip it where it is finished; note in the ledger how it went. Never raises.

    Args:
        cfg: the job.
        number: of the job in its grid.

    Returns:
        best ``val/accuracy``, for a sweeper that searches; None for a job that did not finish, or
        has no validation images.
    """
    ledger = Ledger.of_this_job()
    if not multiprocessing.current_process().name.startswith("Loky"):
        return None if ledger.stopping() else _run(cfg, number, ledger, ledger.stopping)
    # Ctrl-C goes to every process of a terminal; the one that has the ledger answers it. A worker
    # that died of it would make joblib kill all the others.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    metric = None
    if not ledger.stopping() and not ledger.orphaned():
        metric = _run(cfg, number, ledger, lambda: ledger.stopping() or ledger.orphaned())
    if ledger.orphaned():
        os._exit(1)  # nobody waits for the answer, and joblib would wait for work for minutes
    return metric


def _run(cfg: Config, number: int, ledger: Ledger, stop: Callable[[], bool]) -> float | None:
    record = JobRecord(
        number,
        cfg.run.dir,
        "running",
        started=time.time(),
        since=_epochs_done(ledger.cwd() / cfg.run.dir),
    )
    ledger.write(record)
    metric = None
    try:
        summary = finished_before(cfg, ledger.cwd())
        if summary is not None:
            state, message = "skipped", None
            metric = (summary.get("best") or {}).get("val/accuracy")
        else:
            result = run_in_child(cfg, stop, ledger.cwd())
            state, message = result.status, result.message
            metric = result.metric
    except Exception as error:  # noqa: BLE001  (one job must not end the others)
        known = isinstance(error, (UserError, OSError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        state, message = "failed", one_line(text)
    ledger.write(dataclasses.replace(record, state=state, message=message, ended=time.time()))
    return metric


def _epochs_done(run_dir: Path) -> int:
    try:
        lines = read_metrics(run_dir / "metrics.jsonl")
        return int(lines[-1]["epoch"]) if lines else 0
    except (OSError, ValueError):
        return 0
