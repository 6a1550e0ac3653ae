"""When the warm start goes to the next tile: rules on the history of epoch training losses.

A rule is a pure function of the losses since the last switch and of the number of switches made
so far. The history itself is kept, cleared at every switch and saved by
`runner.training.warm_start.WarmStart`.

The rules "aggressive" and "mild", and their order, are those of Li, Wu, Liu, Gokmen and Chen,
"In-memory Training on Analog Devices with Limited Conductance States via Multi-tile Residual
Learning" (arXiv 2510.02516).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.config.schema import WarmStartConfig


class PlateauRule(Protocol):
    """Decides after each epoch whether it is the next tile's turn."""

    def __call__(self, losses: Sequence[float], switches: int) -> bool:
        """True if the losses have come to a plateau.

        Args:
            losses: mean training loss of each epoch since the last switch, oldest first.
            switches: switches made so far.
        """
        ...


def rises(losses: Sequence[float], min_rise: float) -> int:
    """Number of steps from one epoch to the next that raise the loss by more than `min_rise`."""
    return sum(after - before > min_rise for before, after in itertools.pairwise(losses))


@dataclass(frozen=True)
class Aggressive:
    """Any rise between two epochs.

    Args:
        min_rise: an increase counts only above this.
    """

    min_rise: float = 1e-4

    def __call__(self, losses: Sequence[float], switches: int) -> bool:
        """``losses[-1] - losses[-2] > min_rise``."""
        return rises(losses[-2:], self.min_rise) > 0


@dataclass(frozen=True)
class Mild:
    """At least 2 rises in the last 5 steps, which takes 6 losses.

    Args:
        min_rise: an increase counts only above this.
    """

    min_rise: float = 1e-4

    def __call__(self, losses: Sequence[float], switches: int) -> bool:
        """``len(losses) >= 6`` and at least 2 rises among the last 6 losses."""
        return len(losses) >= 6 and rises(losses[-6:], self.min_rise) >= 2


@dataclass(frozen=True)
class Paper:
    """`Aggressive` for the first four switches, `Mild` for all further ones.

    Args:
        min_rise: an increase counts only above this.
    """

    min_rise: float = 1e-4

    def __call__(self, losses: Sequence[float], switches: int) -> bool:
        """`Aggressive` while fewer than four switches have been made, then `Mild`."""
        rule = Aggressive(self.min_rise) if switches < 4 else Mild(self.min_rise)
        return rule(losses, switches)


@dataclass(frozen=True)
class EveryN:
    """Every `n` epochs, whatever the loss.

    Args:
        n: epochs in a stage, at least 1.
    """

    n: int

    def __call__(self, losses: Sequence[float], switches: int) -> bool:
        """``len(losses) >= n``."""
        return len(losses) >= self.n


RULES: dict[str, Callable[[WarmStartConfig], PlateauRule]] = {
    "aggressive": lambda cfg: Aggressive(cfg.min_rise),
    "mild": lambda cfg: Mild(cfg.min_rise),
    "paper": lambda cfg: Paper(cfg.min_rise),
    "every_n": lambda cfg: EveryN(cfg.every_n),
}
"""Rules by ``warm_start.rule``; an own rule is one more entry."""


def make_rule(cfg: WarmStartConfig) -> PlateauRule:
    """The rule named by ``warm_start.rule``."""
    return RULES[cfg.rule](cfg)
