"""Notices a run that learns nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from runner.data import Dataset
from runner.training.position import Position

log = logging.getLogger(__name__)


class ChanceWatch:
    """Warns when the accuracy stays at chance for several epochs.

    At chance means: not above the share of the most frequent class by more than 3 standard
    errors, on the validation images, or the test images where none are split off. Nothing is
    chosen by it, so looking at test images does no harm.

    Args:
        data: the run's data.
        epochs: so many epochs in a row.
    """

    def __init__(self, data: Dataset, epochs: int = 3) -> None:
        self._name = "test" if data.val is None else "val"
        split = data.test if data.val is None else data.val
        share = split.labels.bincount().max().item() / len(split)
        self.limit = share + 3 * math.sqrt(share * (1 - share) / len(split))
        self._epochs = epochs

    def look(self, metrics: Mapping[str, Any], at: Position) -> None:
        """Look at the metrics of an epoch; warn once, at the last epoch of the row."""
        accuracy = metrics[f"{self._name}/accuracy"]
        at.epochs_at_chance = at.epochs_at_chance + 1 if accuracy <= self.limit else 0
        if at.epochs_at_chance == self._epochs:
            log.warning(
                "%s accuracy has been at chance (%.1f %%) for %d epochs: look at device.n_states "
                "(too few?), warm_start.enabled and warm_start.transfer_lr (the direct route "
                "destroys the coarse tile of 4-state devices), algorithm.gamma, algorithm.fast_lr "
                "and optim.lr",
                self._name,
                100 * accuracy,
                self._epochs,
            )
