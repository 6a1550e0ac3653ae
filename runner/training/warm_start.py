"""Moves the tiles of a model through the stages of the warm start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from runner.training.plateau import PlateauRule


class StagedTile(Protocol):
    """A tile with a warm start, as device_ext's KeyedAnalogTile has it."""

    @property
    def stage(self) -> int | None:
        """Index of the target device; None while the chain runs."""
        ...

    @property
    def switches(self) -> int:
        """Switches so far."""
        ...

    def advance(self) -> int | None:
        """Go to the next stage and return it."""
        ...


class WarmStart:
    """Keeps the losses since the last switch, and advances every tile when the rule says so.

    All tiles of a model share one stage. The stage itself lives in the tiles and is saved with
    them; only the history of losses is kept here.

    Args:
        tiles: tiles with a warm start; empty where there is none, and nothing happens then.
        rule: decides when to switch.
    """

    def __init__(self, tiles: Sequence[StagedTile], rule: PlateauRule) -> None:
        self._tiles = list(tiles)
        self._rule = rule
        self._losses: list[float] = []

    @property
    def stage(self) -> int | None:
        """Index of the target device; None while the chain runs, or without any tile."""
        return self._tiles[0].stage if self._tiles else None

    @property
    def switches(self) -> int:
        """Switches so far."""
        return self._tiles[0].switches if self._tiles else 0

    def end_of_epoch(self, train_loss: float) -> bool:
        """Note the mean training loss of an epoch; True if the tiles were switched."""
        if self.stage is None:
            return False
        self._losses.append(train_loss)
        if not self._rule(self._losses, self.switches):
            return False
        for tile in self._tiles:
            tile.advance()
        self._losses.clear()
        return True

    def state(self) -> dict[str, Any]:
        """What changes here, as plain numbers."""
        return {"losses": list(self._losses)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._losses = [float(loss) for loss in state["losses"]]
