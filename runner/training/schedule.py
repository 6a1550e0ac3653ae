"""The learning rate as a function of the epoch, so that nothing of it needs to be saved."""

from __future__ import annotations

import math

from runner.config.schema import OptimConfig


def learning_rate(cfg: OptimConfig, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch.

    - constant: ``lr``
    - step: ``lr * gamma ** ((epoch - 1) // step_every)``
    - exponential: ``lr * gamma ** (epoch - 1)``
    - cosine: ``lr * (1 + cos(pi * (epoch - 1) / epochs)) / 2``

    Args:
        cfg: learning rate and schedule.
        epoch: from 1; 0, the untrained network, has the rate of epoch 1.
        epochs: ``run.epochs``; only the cosine looks at it.
    """
    done = max(epoch, 1) - 1
    if cfg.schedule == "step":
        return cfg.lr * cfg.gamma ** (done // cfg.step_every)
    if cfg.schedule == "exponential":
        return cfg.lr * cfg.gamma**done
    if cfg.schedule == "cosine":
        return cfg.lr * (1 + math.cos(math.pi * done / max(epochs, 1))) / 2
    return cfg.lr
