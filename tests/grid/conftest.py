"""Real grids of tiny runs, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.tracking import read_metrics

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
        self.env = {**os.environ, "PYTHONPATH": str(cwd / "site")}

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runner", "-m", *overrides],
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*overrides)
        out, err = process.communicate(timeout=200)
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


@pytest.fixture
def grid(tmp_path) -> GridCommand:
    about = tmp_path / "site" / "crashing-1.0.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "crashing.py").write_text(CRASHING)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[warmtile.data]\ncrashing = crashing:Crashing\n")
    return GridCommand(tmp_path)
