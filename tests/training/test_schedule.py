"""The learning rate as a function of the epoch."""

from __future__ import annotations

import pytest
import torch

from runner.config.schema import OptimConfig
from runner.training.position import Position
from runner.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.8, 0.8, 0.8, 0.8, 0.8]),
        ("step", [0.8, 0.8, 0.4, 0.4, 0.2]),
        ("exponential", [0.8, 0.4, 0.2, 0.1, 0.05]),
        ("cosine", [0.8, 0.72360680, 0.52360680, 0.27639320, 0.07639320]),
    ],
)
def test_rates_of_five_epochs(schedule, rates):
    cfg = OptimConfig(lr=0.8, schedule=schedule, step_every=2, gamma=0.5)
    assert [learning_rate(cfg, e, 5) for e in range(1, 6)] == pytest.approx(rates, abs=1e-8)
    assert learning_rate(cfg, 0, 5) == 0.8


def test_plateau_lowers_the_rate_after_patience_epochs():
    """The same epochs as torch's own ReduceLROnPlateau, whose bookkeeping needs an optimizer."""
    losses = [1.0, 0.9, 0.95, 0.9, 0.92, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.79999]
    cfg = OptimConfig(lr=0.8, schedule="plateau", patience=2, gamma=0.5)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    at = Position()
    for epoch, loss in enumerate(losses, 1):
        at.loss_sum, at.images = loss, 1
        at.watch_plateau(cfg.patience)
        at.end_epoch()
        theirs.step(loss)
        assert learning_rate(cfg, epoch + 1, 100, at.drops) == optimizer.param_groups[0]["lr"]
    assert at.drops == 3
