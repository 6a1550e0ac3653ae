"""What the jobs of a grid tell each other: a folder of small files, shared by all launchers.

The command that starts a grid, the workers of a launcher and a user's second command may be
different processes on different machines; a folder beside the runs is what they have in common.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.config.values import NOT_HASHED
from runner.errors import UserError
from runner.files import is_locked, write_atomic

_FOLDER = ".grids"


@dataclass(frozen=True)
class JobRecord:
    """One job as its launcher's worker sees it.

    Args:
        number: of the job in its grid, from 0.
        run_dir: run folder.
        state: ``running``, ``requeued`` (Slurm will start it again), ``skipped`` (finished by an
            earlier command), or how the job ended: finished, failed, diverged, interrupted,
            refused.
        message: what went wrong, in one line.
        started: seconds since 1970.
        ended: seconds since 1970; None while it runs.
        since: epochs that were done before.
    """

    number: int
    run_dir: str
    state: str
    message: str | None = None
    started: float = 0.0
    ended: float | None = None
    since: int = 0


class Ledger:
    """The record of one grid command.

    Args:
        folder: made by `create`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        self._records: dict[int, JobRecord] = {}
        self._ended: set[Path] = set()

    @classmethod
    def create(cls, sweep_dir: Path, overrides: Sequence[str]) -> Ledger:
        """Begin the record of a command.

        Args:
            sweep_dir: folder of the grid's runs.
            overrides: of the command line.

        Raises:
            UserError: the folder can not be made.
        """
        name = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}"
        folder = (sweep_dir / _FOLDER / name).absolute()
        command = {
            "overrides": list(overrides),
            "cwd": str(Path.cwd()),
            "python": sys.executable,
            "host": platform.node(),
            "pid": os.getpid(),
        }
        try:
            folder.mkdir(parents=True)
            write_atomic(folder / "command.json", json.dumps(command, indent=2).encode())
        except OSError as error:
            raise UserError(f"sweep.dir={sweep_dir}: {error.strerror}") from error
        ledger = cls(folder)
        ledger._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(ledger._lock, fcntl.LOCK_EX)
        return ledger

    def write(self, record: JobRecord) -> None:
        """Put down the state of a job."""
        content = json.dumps(asdict(record)).encode()
        write_atomic(self.folder / f"job-{record.number}.json", content)

    def read(self) -> dict[int, JobRecord]:
        """Every job that has begun, by number. One that has ended is read only once."""
        for path in self.folder.glob("job-*.json"):
            if path not in self._ended:
                record = JobRecord(**json.loads(path.read_text(encoding="utf-8")))
                self._records[record.number] = record
                if record.ended is not None:
                    self._ended.add(path)
        return dict(sorted(self._records.items()))

    def cwd(self) -> Path:
        """Working folder of the command, which relative paths are relative to."""
        return Path(self._command()["cwd"])

    def name(self) -> str:
        """Name of the grid, ``<folder>-<6 hexadecimal digits>``, the same whenever it goes on.

        The digits are a hash of what the command asks for. Launchers and keys that change how runs
        are kept, not what they compute, are no part of it, nor is the order of the overrides.
        """
        asked = sorted(text for text in self._command()["overrides"] if _counts(text))
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:6]
        return f"{self.folder.parent.parent.name}-{digest}"

    def _command(self) -> dict[str, Any]:
        return json.loads((self.folder / "command.json").read_text(encoding="utf-8"))

    def ask_to_stop(self) -> None:
        """Let running jobs write a checkpoint and end, and no other begin."""
        (self.folder / "stop").touch()

    def stopping(self) -> bool:
        """Whether the jobs are asked to stop."""
        return (self.folder / "stop").exists()

    def orphaned(self) -> bool:
        """Whether the command that started the grid has ended: the kernel frees its lock."""
        return not is_locked(self.folder / "lock")

    def discard(self) -> None:
        """Remove a record in which nothing has been put down."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for folder in (self.folder.parent, self.folder.parent.parent):
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()

    def close(self) -> None:
        """Let go of the lock; only for the command that made the ledger."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _counts(override: str) -> bool:
    key = override.partition("=")[0].lstrip("+~")
    return not key.startswith("hydra") and key not in NOT_HASHED
