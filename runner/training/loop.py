"""The training loop, from top to bottom."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from runner.config.schema import Config
from runner.data import Dataset, batches
from runner.data.batches import n_batches
from runner.tracking import Histogram, Trackers
from runner.training.chance import ChanceWatch
from runner.training.evaluate import evaluate
from runner.training.loss import loss_function
from runner.training.position import Position
from runner.training.profile import StepProfiler
from runner.training.saver import Saver
from runner.training.schedule import learning_rate
from runner.training.signals import StopSignals
from runner.training.warm_start import WarmStart

log = logging.getLogger(__name__)


class Diverged(Exception):
    """The loss is no longer a number."""


class Interrupted(Exception):
    """A signal asked the run to stop; its checkpoint is written."""


@dataclass(frozen=True)
class Parts:
    """Everything that a run is made of.

    Args:
        read_tiles: gives readings of all tiles, each with a method ``metrics()``.
        tile_histograms: gives what is in the tiles as histograms by name.
    """

    cfg: Config
    data: Dataset
    model: nn.Module
    optimizer: torch.optim.Optimizer
    warm_start: WarmStart
    read_tiles: Callable[[], list[Any]]
    tile_histograms: Callable[[], dict[str, Histogram]]
    trackers: Trackers
    saver: Saver
    signals: StopSignals


def train(parts: Parts, at: Position) -> dict[str, Any]:
    """Train from `at` to the last epoch.

    Args:
        parts: the run; its network, optimizer and warm start stand where `at` says.
        at: where the run stands; moved forward.

    Returns:
        the metrics of the last epoch that was trained here; empty if there was none.

    Raises:
        Diverged: a loss is infinite or not a number.
        Interrupted: after the checkpoint that a signal asked for.
    """
    cfg, data, model, optimizer = parts.cfg, parts.data, parts.model, parts.optimizer
    chance = ChanceWatch(data)
    criterion = loss_function(cfg.optim, data.n_classes)
    accumulate, n = cfg.optim.accumulate, n_batches(len(data.train), cfg.data.batch_size)
    clock = Clock(at.elapsed_s)
    metrics: dict[str, Any] = {}
    if not at.started:
        metrics = epoch_metrics(parts, at, clock)
        at.started = True
        parts.trackers.epoch(metrics)

    with StepProfiler(cfg.run.profile, Path(cfg.run.dir)) as profiler:
        while at.epoch < cfg.run.epochs:
            epoch = at.epoch + 1
            set_learning_rate(optimizer, learning_rate(cfg.optim, epoch, cfg.run.epochs, at.drops))
            model.train()
            optimizer.zero_grad()
            for images, labels in batches(
                data.train, cfg.data.batch_size, cfg.run.seed, epoch, at.batch, cfg.data
            ):
                output = model(images)
                loss = criterion(output, labels)
                check_finite(
                    loss.item(), f"the training loss in epoch {epoch}, mini-batch {at.batch}"
                )
                (loss / accumulate if accumulate > 1 else loss).backward()
                at.add(loss.item(), output, labels)
                del output, loss  # the graph holds what the tiles remember
                profiler.step()
                if at.batch % accumulate and at.batch < n:
                    continue  # gradients that are not yet used up are in no checkpoint
                optimizer.step()
                optimizer.zero_grad()

                at.elapsed_s = clock.total_s()
                parts.trackers.batch(at)
                if parts.signals.received:
                    parts.saver.save(at)
                    raise Interrupted
                parts.saver.save_if_due(at)

            metrics = epoch_metrics(parts, at, clock)
            if parts.warm_start.end_of_epoch(at.train_loss):
                log.info(
                    "epoch %d: warm start goes to %s", epoch, stage_name(parts.warm_start.stage)
                )
            if cfg.optim.schedule == "plateau":
                at.watch_plateau(cfg.optim.patience)
            at.end_epoch()
            chance.look(metrics, at)
            at.elapsed_s = clock.total_s()
            parts.trackers.epoch(metrics)
            parts.saver.end_of_epoch(at, metrics, last=at.epoch == cfg.run.epochs)
    return metrics


def epoch_metrics(parts: Parts, at: Position, clock: Clock) -> dict[str, Any]:
    """One line of metrics.jsonl: the epoch under way, which has just ended; 0 at the start."""
    cfg, data = parts.cfg, parts.data
    epoch = at.epoch + 1 if at.started else 0
    metrics: dict[str, Any] = {"epoch": epoch}
    if at.started:
        metrics |= {"train/loss": at.train_loss, "train/accuracy": at.train_accuracy}
    for name, split in (("val", data.val), ("test", data.test)):
        if split is not None:
            score = evaluate(parts.model, split, cfg.data.test_batch_size)
            check_finite(score.loss, f"the {name} loss after epoch {epoch}")
            metrics |= {f"{name}/loss": score.loss, f"{name}/accuracy": score.accuracy}
    metrics["lr"] = learning_rate(cfg.optim, epoch, cfg.run.epochs, at.drops)
    if cfg.algorithm.name == "resl":
        metrics["warm_start/stage"] = parts.warm_start.stage or "chain"
        metrics["warm_start/switches"] = parts.warm_start.switches
    for reading in parts.read_tiles():
        metrics |= reading.metrics()
    if parts.trackers.wants_histograms:
        parts.trackers.histograms(epoch, parts.tile_histograms())
    return metrics | {"time/epoch_s": clock.lap_s(), "time/total_s": clock.total_s()}


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate of every group; aihwkit's optimizer hands it to the tiles at the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def stage_name(stage: int | None) -> str:
    """A stage in words."""
    return "the chain" if stage is None else f"device {stage}"


def check_finite(loss: float, what: str) -> None:
    """Raise `Diverged` unless the loss is a number."""
    if not math.isfinite(loss):
        raise Diverged(f"{what} is {loss}")


class Clock:
    """Seconds of the run, over all sittings, and of the epoch under way, in this one."""

    def __init__(self, elapsed_s: float) -> None:
        self._start = time.monotonic() - elapsed_s
        self._lap = time.monotonic()

    def total_s(self) -> float:
        """Seconds since the run began, without the time between sittings."""
        return time.monotonic() - self._start

    def lap_s(self) -> float:
        """Seconds since the last call."""
        last, self._lap = self._lap, time.monotonic()
        return self._lap - last
