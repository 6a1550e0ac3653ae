"""What a run would take, from a few measured steps."""

from __future__ import annotations

import resource
import statistics
import time
from dataclasses import dataclass

from runner.analog import AnalogModel
from runner.config.schema import Config
from runner.data import Dataset, batches
from runner.data.batches import n_batches
from runner.data.splits import Split
from runner.training.evaluate import evaluate
from runner.training.loss import loss_function

_WARM_UP, _MEASURED = 2, 5


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a run.

    Args:
        step_s: median of the measured training steps.
        steps: mini-batches in an epoch.
        test_s: one evaluation of the validation and test images.
        epochs: epochs of the run.
        cross_points: resistive devices.
        memory_gib: most memory that the process has held so far.
    """

    step_s: float
    steps: int
    test_s: float
    epochs: int
    cross_points: int
    memory_gib: float

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch with its evaluation."""
        return self.steps * self.step_s + self.test_s

    def text(self) -> str:
        """The estimate in a few lines."""
        return (
            f"dry run: {self.cross_points:,} cross-points, {self.memory_gib:.2f} GiB of memory\n"
            f"a step takes {1e3 * self.step_s:.1f} ms (median of {_MEASURED}); an epoch has "
            f"{self.steps} steps and takes about {_duration(self.epoch_s)}, its test "
            f"{_duration(self.test_s)} of it\n"
            f"{self.epochs} epochs: about {_duration(self.epochs * self.epoch_s)}; nothing was "
            "trained or written"
        )


def estimate(cfg: Config, data: Dataset, built: AnalogModel) -> Estimate:
    """Measure a few training steps and a part of the test; `built` is used up."""
    criterion = loss_function(cfg.optim, data.n_classes)
    times: list[float] = []
    built.model.train()
    while len(times) < _WARM_UP + _MEASURED:
        start = time.perf_counter()
        # Few mini-batches make a short epoch: it begins anew.
        for images, labels in batches(
            data.train, cfg.data.batch_size, cfg.run.seed, 1, augment=cfg.data
        ):
            built.optimizer.zero_grad()
            criterion(built.model(images), labels).backward()
            built.optimizer.step()
            now = time.perf_counter()
            times.append(now - start)
            start = now
            if len(times) == _WARM_UP + _MEASURED:
                break
    tested = min(len(data.test), 4 * cfg.data.test_batch_size)
    part = Split(data.test.images[:tested], data.test.labels[:tested])
    start = time.perf_counter()
    evaluate(built.model, part, cfg.data.test_batch_size)
    per_image = (time.perf_counter() - start) / tested
    images = len(data.test) + (0 if data.val is None else len(data.val))
    return Estimate(
        step_s=statistics.median(times[_WARM_UP:]),
        steps=n_batches(len(data.train), cfg.data.batch_size),
        test_s=images * per_image,
        epochs=cfg.run.epochs,
        cross_points=sum(layer.cross_points for layer in built.layers),
        memory_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
