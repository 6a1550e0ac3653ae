"""The learning rate as a function of the epoch and, for one schedule, of the plateaus so far."""

from __future__ import annotations

import math

from runner.config.schema import OptimConfig


def learning_rate(cfg: OptimConfig, epoch: int, epochs: int, drops: int = 0) -> float:
    """Learning rate of an epoch.

    - constant: ``lr``
    - step: ``lr * gamma ** ((epoch - 1) // step_every)``
    - exponential: ``lr * gamma ** (epoch - 1)``
    - cosine: ``lr * (1 + cos(pi * (epoch - 1) / epochs)) / 2``
    - plateau: ``lr * gamma ** drops``

    Args:
        cfg: learning rate and schedule.
        epoch: from 1; 0, the untrained network, has the rate of epoch 1.
        epochs: ``run.epochs``; only the cosine looks at it.
        drops: plateaus of the loss so far (`Position.drops`); only that schedule looks at it.
    """
    done = max(epoch, 1) - 1
    if cfg.schedule == "step":
        return cfg.lr * cfg.gamma ** (done // cfg.step_every)
    if cfg.schedule == "exponential":
        return cfg.lr * cfg.gamma**done
    if cfg.schedule == "cosine":
        return cfg.lr * (1 + math.cos(math.pi * done / max(epochs, 1))) / 2
    if cfg.schedule == "plateau":
        return cfg.lr * cfg.gamma**drops
    return cfg.lr
