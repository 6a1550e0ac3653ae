"""Losses against their formulas."""

from __future__ import annotations

import torch

from runner.config.schema import OptimConfig
from runner.training.loss import loss_function

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
OUTPUT = LOGITS.log_softmax(1)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
ONE_HOT = torch.eye(4)[LABELS]


def test_cross_entropy():
    found = loss_function(OptimConfig(), 4)(OUTPUT, LABELS)
    torch.testing.assert_close(found, -(ONE_HOT * OUTPUT).sum(1).mean())


def test_label_smoothing():
    found = loss_function(OptimConfig(label_smoothing=0.2), 4)(OUTPUT, LABELS)
    spread = 0.8 * ONE_HOT + 0.2 / 4
    torch.testing.assert_close(found, -(spread * OUTPUT).sum(1).mean())


def test_squared_error():
    found = loss_function(OptimConfig(loss="mse"), 4)(OUTPUT, LABELS)
    torch.testing.assert_close(found, ((OUTPUT.exp() - ONE_HOT) ** 2).mean())
