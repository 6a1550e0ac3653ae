"""What the tests of configuration and command line share."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.app import main
from runner.config import Config
from runner.grid.ledger import JobRecord, Ledger


@dataclass(frozen=True)
class Answer:
    """How the command line ended."""

    status: int
    out: str
    err: str


Cli = Callable[..., Answer]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()  # Hydra configures it
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)

    def call(*argv: str) -> Answer:
        capsys.readouterr()
        status = main(argv)
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    return call


@dataclass
class Jobs:
    """Stands for the training: keeps the configurations that reach it."""

    seen: list[Config] = field(default_factory=list)
    exit_code: int = 0
    message: str | None = None
    metric: float | None = None
    error: BaseException | None = None

    def run_grid_job(self, config: Config, number: int, ledger: Ledger, launcher: str) -> None:
        assert launcher == "basic"
        self.seen.append(config)
        ledger.write(JobRecord(number, config.run.dir, "finished"))

    def run_job(self, config: Config) -> Jobs:
        self.seen.append(config)
        if self.error is not None:
            raise self.error
        return self


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The training replaced by a recorder: these tests are about what reaches it."""
    recorder = Jobs()
    module = types.ModuleType("runner.job")
    module.run_job = recorder.run_job  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "runner.job", module)
    worker = types.ModuleType("runner.grid.worker")
    worker.run_grid_job = recorder.run_grid_job  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "runner.grid.worker", worker)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    return recorder


@pytest.fixture
def tree() -> Callable[[Path], dict[str, tuple[int, int]]]:
    """Every path below a folder with its size and time of change."""

    def look(folder: Path) -> dict[str, tuple[int, int]]:
        states = {path: path.lstat() for path in [folder, *folder.rglob("*")]}
        return {str(path): (state.st_size, state.st_mtime_ns) for path, state in states.items()}

    return look
