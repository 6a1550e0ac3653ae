"""Short runs on real images."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from runner.config import load_config
from runner.job import JobResult, run_job
from runner.tracking import read_metrics
from runner.training.checkpoint import CheckpointStore


@dataclasses.dataclass
class ShortRun:
    """The result of a short run, and what it left behind."""

    result: JobResult
    output: str

    @property
    def folder(self) -> Path:
        return self.result.run_dir

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return read_metrics(self.folder / "metrics.jsonl")

    @property
    def timeless(self) -> list[dict[str, Any]]:
        """The metrics without the times, which no two runs share."""
        return [
            {k: v for k, v in line.items() if not k.startswith("time/")} for line in self.metrics
        ]

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The newest checkpoint's tensors."""
        loaded, _ = CheckpointStore(self.folder / "checkpoints", keep=1).newest()
        assert loaded is not None
        return loaded.tensors

    def same_state(self, other: ShortRun) -> bool:
        """Whether two runs ended with the same bits."""
        a, b = self.tensors, other.tensors
        return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def short_run(tmp_path, monkeypatch) -> Callable[..., ShortRun]:
    """Run LeNet-5 on 120 images of mnist5k for two epochs, or as the overrides say.

    Devices have 16 states, or those of the device that is chosen.

    The picture takes longer than the training here, so it is drawn on demand only.
    """

    def run(name: str, *overrides: str, picture: bool = False) -> ShortRun:
        if not picture:
            monkeypatch.setattr("runner.report.curves.draw_run", lambda *_: None)
        base = ["data=mnist5k", "data.train_limit=120", "run.epochs=2"]
        if not any(text.startswith("device=") for text in overrides):
            base.append("device.n_states=16")
        cfg = load_config([*base, f"run.dir={tmp_path / name}", *overrides])
        out = io.StringIO()
        return ShortRun(run_job(cfg, Console(file=out, width=200)), out.getvalue())

    return run
