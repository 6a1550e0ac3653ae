"""One job in a process of its own: whatever happens to it, the grid goes on.

``python -m runner.grid.child`` is the process: configuration in on standard input, result out on
standard output, both a line of JSON. The parent keeps the other end of standard input open: its
end tells the child that the parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from runner.config import Config, config_from_dict, config_to_dict
from runner.config.errors import one_line
from runner.errors import UserError
from runner.job import EXIT_CODES, JobResult, run_job
from runner.provenance import place
from runner.threads import thread_variables
from runner.tracking import RunFolder
from runner.tracking.run_folder import at_work, read_summary
from runner.training.signals import StopSignals

_POLL_S = 0.2
_LOCK_PATIENCE_S = 60.0


def run_in_child(
    cfg: Config, stop: Callable[[], bool], cwd: Path, place: dict[str, str] | None = None
) -> JobResult:
    """Train in a child process and wait for it.

    A child that dies (killed, out of memory, a crash in compiled code) is recorded as failed in
    its run folder, with what it said last.

    Args:
        cfg: the job.
        stop: asked several times a second; when it says True, the child is asked to write a
            checkpoint and end.
        cwd: working folder.
        place: environment variables that say where the job runs (`runner.provenance.place`).
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner.grid.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=cwd,
            env=os.environ | thread_variables(cfg.run.threads) | (place or {}),
            # Ctrl-C must reach the child once, from here: a second signal would end it at once.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stopping = False
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(config_to_dict(cfg)).encode() + b"\n")
                process.stdin.flush()
            while not _ended(process):
                if not stopping and stop():
                    stopping = True
                    process.terminate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        with process.stdout:
            answer = process.stdout.read()
        with contextlib.suppress(BrokenPipeError):  # it died before it had read its job
            process.stdin.close()
        result = _result(answer, cfg)
        if result is not None:
            return result
        if not stopping and -process.returncode in StopSignals.CAUGHT:
            # Slurm signals every process of a job; the child may be the first to notice.
            time.sleep(_POLL_S)
            stopping = stop()
        if stopping:
            message = "stopped before its training began"
            return JobResult("interrupted", 128 + signal.SIGTERM, Path(cfg.run.dir), message)
        return _died(cfg, cwd, process.returncode, said)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _result(answer: bytes, cfg: Config) -> JobResult | None:
    try:
        values: dict[str, Any] = json.loads(answer)
    except ValueError:
        return None
    return JobResult(**values, run_dir=Path(cfg.run.dir))


def _died(cfg: Config, cwd: Path, status: int, said: IO[bytes]) -> JobResult:
    """Record the death of a child in its run folder."""
    said.seek(0)
    text = said.read().decode(errors="replace").strip()
    last = text.splitlines()[-1] if text else ""
    message = f"exit status {status}"
    if status < 0:
        message = f"killed by {signal.Signals(-status).name}"
    if status == -signal.SIGKILL:
        message += ", as happens where memory runs out"
    elif last:
        message = one_line(f"{message}: {last}")
    run_dir = Path(cfg.run.dir)
    before = read_summary(cwd / run_dir) or {}
    summary = before | {"status": "failed", "message": message}
    summary.setdefault("epochs", 0)
    try:
        folder = RunFolder(cwd / run_dir)
        with contextlib.closing(folder):
            folder.write_summary(summary)
            with folder.log_file.open("a", encoding="utf-8") as log:
                log.write(f"{message}\n{text}\n")
    except (UserError, OSError) as error:
        message = f"{message} (and it could not be recorded: {error})"
    return JobResult("failed", EXIT_CODES["failed"], run_dir, message)


def main() -> int:
    """The child process.

    Returns:
        exit status.
    """
    # Whatever a library prints must not be taken for the result.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    cfg = config_from_dict(json.loads(sys.stdin.readline()))
    StopSignals.repeats_end = False
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _wait_for_lock(Path(cfg.run.dir), forever="slurm_job_id" in place())
    from rich.console import Console

    with open(os.devnull, "w") as nowhere:  # run.log has all that is said
        result = run_job(cfg, Console(file=nowhere))
    with answer:
        values = {name: getattr(result, name) for name in _ANSWERED}
        json.dump(values, answer)
    return result.exit_code


_ANSWERED = ("status", "exit_code", "message", "metric")


def _end_with_the_parent() -> None:
    """Ask this process to write a checkpoint and end, once the parent is gone.

    prctl's PR_SET_PDEATHSIG would send a signal for each thread of the parent.
    """
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_lock(run_dir: Path, forever: bool) -> None:
    """A child of a grid that was killed a moment ago may still be writing its checkpoint.

    Slurm's jobs outlive the command that submitted them: the same job of another command waits
    until the first one has finished, and has then nothing left to do.
    """
    until = time.monotonic() + _LOCK_PATIENCE_S
    while at_work(run_dir) and (forever or time.monotonic() < until):
        time.sleep(_POLL_S)


if __name__ == "__main__":
    sys.exit(main())
