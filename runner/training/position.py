"""Where a run stands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Position:
    """Plain numbers that say how far a run has come; a checkpoint holds them as they are.

    Args:
        started: the untrained network was evaluated (epoch 0 is in the metrics).
        epoch: epochs finished.
        batch: mini-batches done in the epoch under way.
        images: images seen in the epoch under way.
        loss_sum: sum of their losses.
        correct: how many of them were classified rightly.
        epochs_at_chance: epochs in a row whose accuracy was no better than chance.
        best_epoch: epoch of the best network so far.
        best_score: its score, higher is better.
        lowest_loss: lowest training loss of an epoch since the run began (schedule=plateau).
        epochs_above: epochs in a row that did not fall below it.
        drops: how often the learning rate was lowered for that.
        elapsed_s: seconds spent so far, over all sittings.
    """

    started: bool = False
    epoch: int = 0
    batch: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    epochs_at_chance: int = 0
    best_epoch: int | None = None
    best_score: float | None = None
    lowest_loss: float | None = None
    epochs_above: int = 0
    drops: int = 0
    elapsed_s: float = 0.0

    def add(self, loss: float, output: Tensor, labels: Tensor) -> None:
        """Count a mini-batch: its mean loss, log-probabilities ``[b, c]``, labels ``[b]``."""
        with torch.no_grad():
            self.correct += int((output.argmax(1) == labels).sum())
        self.loss_sum += loss * len(labels)
        self.images += len(labels)
        self.batch += 1

    @property
    def train_loss(self) -> float:
        """Mean loss over the images of the epoch under way."""
        return self.loss_sum / self.images

    @property
    def train_accuracy(self) -> float:
        """Share of the images of the epoch under way that were classified rightly."""
        return self.correct / self.images

    def end_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch += 1
        self.batch = self.images = self.correct = 0
        self.loss_sum = 0.0

    def watch_plateau(self, patience: int) -> None:
        """Note the training loss of the epoch under way, as torch's ReduceLROnPlateau does.

        A loss counts as lower from one part in 10,000 on; more than `patience` epochs in a row
        without one are a plateau.
        """
        if self.lowest_loss is None or self.train_loss < self.lowest_loss * (1 - 1e-4):
            self.lowest_loss, self.epochs_above = self.train_loss, 0
            return
        self.epochs_above += 1
        if self.epochs_above > patience:
            self.drops, self.epochs_above = self.drops + 1, 0

    def is_best(self, score: float) -> bool:
        """Note the score of the epoch just finished; True if it is the best so far."""
        if self.best_score is not None and score <= self.best_score:
            return False
        self.best_epoch, self.best_score = self.epoch, score
        return True

    def to_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Position:
        """Rebuild what `to_dict` gave."""
        return cls(**fields)
