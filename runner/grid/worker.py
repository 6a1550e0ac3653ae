"""A job of a grid, as the worker of a launcher runs it."""

from __future__ import annotations

import dataclasses
import os
import platform
import signal
import threading
import time

from runner.config import Config
from runner.config.errors import one_line
from runner.errors import UserError
from runner.grid.child import run_in_child
from runner.grid.ledger import JobRecord, Ledger
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
    _leave_signals_to_the_master(ledger)
    if ledger.stopping():
        return None
    record = JobRecord(number, cfg.run.dir, "running", started=time.time(), host=platform.node())
    ledger.write(record)
    metric = None
    try:
        summary = finished_before(cfg, ledger.cwd())
        if summary is not None:
            state, message, code = "skipped", None, 0
            metric = (summary.get("best") or {}).get("val/accuracy")
        else:
            result = run_in_child(cfg, lambda: ledger.stopping() or ledger.orphaned(), ledger.cwd())
            state, message, code = result.status, result.message, result.exit_code
            metric = result.metric
    except Exception as error:  # noqa: BLE001  (one job must not end the others)
        known = isinstance(error, (UserError, OSError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        state, message, code = "failed", one_line(text), 1
    ledger.write(
        dataclasses.replace(record, state=state, message=message, exit_code=code, ended=time.time())
    )
    return metric


def _leave_signals_to_the_master(ledger: Ledger) -> None:
    """Ctrl-C goes to every process of a terminal; the one that has the ledger answers it."""
    here = (platform.node(), os.getpid())
    if here != ledger.master() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
