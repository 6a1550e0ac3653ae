"""TensorBoard: event files in the run folder, for ``tensorboard --logdir``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from runner.tracking.base import Histogram, RunInfo, Tracker, scalars
from runner.tracking.jsonl import read_metrics

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""In the run folder."""


class TensorBoard(Tracker):
    """Writes the numbers of each epoch and histograms of the tiles; the step is the epoch."""

    wants_histograms = True

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    def start(self, info: RunInfo) -> None:
        """Begin a file; what earlier ones hold of epochs that are trained again is purged."""
        from torch.utils.tensorboard import SummaryWriter

        folder = info.run_dir / FOLDER
        first_time = not any(folder.glob("events.*"))
        done = info.finished_epochs
        writer = self._writer = SummaryWriter(
            str(folder), purge_step=0 if done is None else done + 1
        )
        text = yaml.safe_dump(dict(info.config), sort_keys=False)
        writer.add_text("config", f"```yaml\n{text}```", 0)
        if done is not None and first_time:
            for line in read_metrics(info.run_dir / "metrics.jsonl"):
                self.epoch(line)

    def histograms(self, epoch: int, found: Mapping[str, Histogram]) -> None:
        """Write the histograms of an epoch."""
        assert self._writer is not None
        for name, each in found.items():
            _add_histogram(self._writer, name, each, epoch)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Write the numbers of an epoch and bring them to disk."""
        assert self._writer is not None
        for name, value in scalars(metrics).items():
            if name != "epoch":
                # The old style has 32 bits only.
                self._writer.add_scalar(
                    name, value, metrics["epoch"], new_style=True, double_precision=True
                )
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _add_histogram(writer: SummaryWriter, name: str, each: Histogram, epoch: int) -> None:
    # TensorBoard wants moments too; of binned values they are those of the bins' middles.
    middles = (each.edges[:-1] + each.edges[1:]) / 2
    writer.add_histogram_raw(
        name,
        min=float(each.edges[0]),
        max=float(each.edges[-1]),
        num=int(each.counts.sum()),
        sum=float(middles @ each.counts),
        sum_squares=float(np.square(middles) @ each.counts),
        bucket_limits=each.edges[1:].tolist(),
        bucket_counts=each.counts.tolist(),
        global_step=epoch,
    )
