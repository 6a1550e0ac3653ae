"""Loss and accuracy of a network on a split."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from runner.data import Split


class Score(NamedTuple):
    """Mean negative log-likelihood and share of right answers."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, batch_size: int) -> Score:
    """Evaluate a network that gives log-probabilities.

    The network is put into evaluation mode for it, and back into the mode that it was in.

    Args:
        model: network.
        split: images and labels, at least one.
        batch_size: images at once; with perfect I/O it does not change the accuracy.
    """
    was_training = model.training
    model.eval()
    loss, correct = 0.0, 0
    for images, labels in zip(
        split.images.split(batch_size), split.labels.split(batch_size), strict=True
    ):
        output = model(images)
        loss += F.nll_loss(output, labels, reduction="sum").item()
        correct += int((output.argmax(1) == labels).sum())
    model.train(was_training)
    return Score(loss / len(split), correct / len(split))
