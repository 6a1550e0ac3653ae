"""Run folders as runs leave them, in every state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from runner.config import config_to_dict, load_config
from runner.tracking import JsonLines, RunFolder, RunInfo


@pytest.fixture
def make_run(tmp_path) -> Callable[..., Path]:
    """Write a run folder; the last of the accuracies is the final one."""

    def make(
        accuracies: list[float], *overrides: str, status: str | None = "finished", **summary: object
    ) -> Path:
        config = load_config(
            [f"run.epochs={len(accuracies) - 1}", *overrides, f"sweep.dir={tmp_path / 'runs'}"]
        )
        folder = RunFolder(Path(config.run.dir))
        folder.write_config(config_to_dict(config))
        record = JsonLines(folder.metrics)
        record.start(RunInfo(folder.path, {}, 1, config.run.epochs))
        for epoch, accuracy in enumerate(accuracies):
            line = {"epoch": epoch, "train/loss": 1.0, "test/accuracy": accuracy}
            if config.algorithm.name == "resl":
                line["warm_start/stage"] = "chain" if epoch > 1 else 5
                for device in (0, 1):
                    line |= {
                        f"tiles/fc1/device{device}/pulses": 100 * (device + 1) * epoch,
                        f"tiles/fc1/device{device}/transfers": device * epoch,
                        f"tiles/fc1/device{device}/share_at_bound": 0.5,
                        f"tiles/fc1/device{device}/mean_abs_weight": 0.1,
                    }
            record.epoch(line | {"time/epoch_s": 2.0, "time/total_s": 2.0 * epoch})
        if config.algorithm.name == "resl":
            (folder.path / "checkpoints").mkdir(exist_ok=True)
            weights = {
                f"tile:fc1/{part}": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
                for part in ("0.weights", "1.weights", "weights")
            }
            save_file(weights, folder.path / "checkpoints" / "epoch00001.safetensors")
        if status is not None:
            content = {"status": status, "message": None, "peak_memory_mb": 400} | summary
            folder.write_summary(content)
        folder.close()
        return folder.path

    return make


@pytest.fixture
def six_runs(make_run, tmp_path) -> Path:
    """Two algorithms of two seeds, a failed run, and one whose metrics are damaged."""
    make_run([0.1, 0.5, 0.80], "run.seed=1", "warm_start.enabled=true")
    make_run([0.1, 0.5, 0.84], "run.seed=2", "warm_start.enabled=true")
    make_run([0.1, 0.8, 0.95], "algorithm=sgd", "run.seed=1")
    make_run([0.1, 0.8, 0.97], "algorithm=sgd", "run.seed=2")
    make_run([0.1, 0.8, 0.9], "algorithm=sgd", "run.seed=3", status="failed", message="killed <b>")
    damaged = make_run([0.1, 0.8, 0.9], "algorithm=sgd", "run.seed=4")
    lines = (damaged / "metrics.jsonl").read_text().splitlines()
    (damaged / "metrics.jsonl").write_text("\n".join([lines[0], "{" + lines[1], lines[2]]) + "\n")
    return tmp_path / "runs"
