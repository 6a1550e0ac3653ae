"""Real grids of tiny runs, as a user starts them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.tracking import read_metrics
from runner.training.checkpoint import CheckpointStore

CRASHING = '''
from dataclasses import dataclass
from typing import Literal
from runner.config.keys import key
from runner.config.schema import DataConfig

@dataclass(frozen=True)
class Crashing(DataConfig):
    """Real images, or none at all."""
    name: Literal["crashing"] = key("crashing", "Data set.")
    how: str = key("not", "What happens.", choices=("not", "abort", "raise", "kill"))

    def load(self):
        import os, signal
        from runner.data.mnist5k import load_mnist5k
        if self.how == "abort":
            os.abort()
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "raise":
            raise RuntimeError("the images are upside down")
        return load_mnist5k(self)
'''


class GridCommand:
    """Starts ``python -m runner -m`` in a folder."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self._started: list[subprocess.Popen[str]] = []
        self.mark = f"WARMTILE_TEST={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.env = {**os.environ, "PYTHONPATH": str(cwd / "site"), name: value}

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "-m", *overrides],
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """After a test that failed: leave nothing behind."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()
            process.wait()

    def __call__(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*overrides)
        out, err = process.communicate(timeout=280)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def metrics(self, sweep_dir: str) -> dict[str, list[dict]]:
        """Metrics without times, by the name of the run folder."""
        return {
            path.parent.name: [
                {k: v for k, v in line.items() if not k.startswith("time/")}
                for line in read_metrics(path)
            ]
            for path in sorted((self.cwd / sweep_dir).glob("*/metrics.jsonl"))
        }

    def summaries(self, sweep_dir: str) -> dict[str, dict]:
        """Content of summary.json, by the name of the run folder."""
        return {
            path.parent.name: json.loads(path.read_text())
            for path in sorted((self.cwd / sweep_dir).glob("*/summary.json"))
        }

    def tensors(self, sweep_dir: str) -> dict[str, bytes]:
        """The newest checkpoint's tensors, each as its bytes, by run folder and name."""
        found = {}
        for folder in (self.cwd / sweep_dir).glob("*/checkpoints"):
            loaded, _ = CheckpointStore(folder, keep=1).newest()
            assert loaded is not None
            for name, tensor in loaded.tensors.items():
                found[f"{folder.parent.name} {name}"] = tensor.contiguous().numpy().tobytes()
        return found

    def records(self, sweep_dir: str) -> list[dict]:
        """What the ledgers of all commands say of their jobs."""
        paths = (self.cwd / sweep_dir).glob(".grids/*/job-*.json")
        return [json.loads(path.read_text()) for path in sorted(paths)]

    def processes(self) -> list[int]:
        """Everything that the commands have started, and what that has started, and so on."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if self.mark.encode() in environment:  # a zombie has none
                found.append(int(process.name))
        return found


def wait_until(condition: Callable[[], object], seconds: float = 200) -> None:
    """Wait for something that another process does."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def grid(tmp_path) -> Iterator[GridCommand]:
    about = tmp_path / "site" / "crashing-1.0.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "crashing.py").write_text(CRASHING)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[warmtile.data]\ncrashing = crashing:Crashing\n")
    command = GridCommand(tmp_path)
    yield command
    command.end()
