"""A run folder: who may write there, and the files that describe the run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from runner.errors import UserError
from runner.files import is_locked, write_atomic


class RunFolder:
    """One run's folder, open for writing by one process at a time.

    The lock is the kernel's (flock), so a process that dies, however it dies, lets go of it.

    Args:
        path: the folder; made if it does not exist.

    Raises:
        UserError: another process runs there, or the folder can not be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(f"run.dir={path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise UserError(
                f"run.dir={path}: another job (process {holder}) is running there; wait for it or "
                "choose another run.dir"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        self._log: logging.Handler | None = None

    @property
    def metrics(self) -> Path:
        """One line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def picture(self) -> Path:
        """Curves of the run."""
        return self.path / "curves.png"

    @property
    def log_file(self) -> Path:
        """Everything that was said, and tracebacks."""
        return self.path / "run.log"

    def start_log(self) -> None:
        """Append what the package logs, down to its details, to run.log."""
        self._log = logging.FileHandler(self.log_file, encoding="utf-8")
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.setLevel(logging.DEBUG)
        # On a full disk the run says so once; the log must not repeat it with every line.
        self._log.handleError = lambda record: None
        logging.getLogger("runner").addHandler(self._log)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved configuration."""
        text = yaml.safe_dump(dict(config), sort_keys=False)
        write_atomic(self.path / "config.yaml", text.encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
        write_atomic(self.path / "summary.json", text.encode())

    def close(self) -> None:
        """Close the log and let go of the lock."""
        if self._log is not None:
            logging.getLogger("runner").removeHandler(self._log)
            with contextlib.suppress(OSError):
                self._log.close()
            self._log = None
        os.close(self._lock)


def at_work(path: Path) -> bool:
    """Whether a process is at work in a run folder."""
    return is_locked(path / ".lock")


def read_summary(path: Path) -> dict[str, Any] | None:
    """The summary.json of a run folder; None where there is none that can be read."""
    try:
        return json.loads((path / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def holds_run(path: Path) -> bool:
    """Whether a folder holds a run, finished or not."""
    return any((path / name).exists() for name in ("config.yaml", "metrics.jsonl", "checkpoints"))
