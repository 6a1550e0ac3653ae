"""From the key `tracking` to trackers."""

from __future__ import annotations

from runner.config.schema import Config
from runner.tracking.base import Tracker
from runner.tracking.tensorboard import TensorBoard
from runner.tracking.wandb_run import Wandb


def chosen_trackers(cfg: Config) -> list[Tracker]:
    """The trackers that a configuration asks for; nothing is loaded before they start."""
    found: list[Tracker] = []
    for name in cfg.tracking:
        if name == "tensorboard":
            found.append(TensorBoard())
        elif cfg.wandb.mode != "disabled":
            found.append(Wandb(cfg.wandb))
    return found
