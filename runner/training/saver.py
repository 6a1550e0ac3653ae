"""When a run writes a checkpoint, and what is in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from runner.config.schema import CheckpointConfig
from runner.training.checkpoint import CheckpointError, CheckpointStore, Loaded
from runner.training.position import Position
from runner.training.warm_start import WarmStart

log = logging.getLogger(__name__)


class Saver:
    """Captures the state of a run into checkpoints, and restores it.

    What decides the further course of a run: the parameters and buffers of the network, the
    state of its tiles, the optimizer's state, the history of the plateau rule, torch's generator
    and the position. The schedule and the order of the images follow from the position.

    Args:
        store: the run's checkpoints.
        cfg: when to write one.
        model, optimizer, warm_start: what is captured.
        tile_states, set_tile_states: read and write the state of all tiles as plain tensors.
        document: further entries of every checkpoint (configuration, versions).
        score: name of the metric that decides which network is the best; a name that ends in
            ``loss`` means that lower is better.
    """

    def __init__(
        self,
        store: CheckpointStore,
        cfg: CheckpointConfig,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        warm_start: WarmStart,
        tile_states: Callable[[], dict[str, Tensor]],
        set_tile_states: Callable[[Mapping[str, Tensor]], None],
        document: Mapping[str, Any],
        score: str,
    ) -> None:
        self.store = store
        self.score = score
        self._cfg = cfg
        self._model = model
        self._optimizer = optimizer
        self._warm_start = warm_start
        self._tile_states = tile_states
        self._set_tile_states = set_tile_states
        self._document = document
        self._saved_at = time.monotonic()

    def end_of_epoch(self, at: Position, metrics: Mapping[str, Any], *, last: bool) -> None:
        """Write a checkpoint if the finished epoch's turn has come, and the best one if it is."""
        sign = -1 if self.score.endswith("loss") else 1
        best = at.is_best(sign * metrics[self.score])
        every = self._cfg.every_epochs
        newest = last or (every > 0 and at.epoch % every == 0)
        if newest or best:
            self.save(at, newest=newest, best=best)

    def save_if_due(self, at: Position) -> None:
        """Write a checkpoint if ``checkpoint.every_minutes`` have passed since the last one."""
        minutes = self._cfg.every_minutes
        if minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes:
            self.save(at)

    def save(self, at: Position, *, newest: bool = True, best: bool = False) -> None:
        """Write a checkpoint of this moment."""
        self.store.save(
            at.epoch, at.batch, self._tensors(), self._numbers(at), newest=newest, best=best
        )
        if newest:
            self._saved_at = time.monotonic()

    def restore(self, loaded: Loaded) -> Position:
        """Put the run where a checkpoint says, bit by bit.

        Raises:
            CheckpointError: the checkpoint belongs to another network.
        """
        groups = _by_group(loaded.tensors)
        restore_network(loaded, self._model, self._set_tile_states)
        try:
            self._restore_optimizer(groups["optim"])
            self._warm_start.set_state(loaded.document["warm_start"])
            torch.set_rng_state(groups["rng"]["torch"])
            return Position.from_dict(loaded.document["position"])
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"{loaded.path} does not fit this run: {error}") from error

    def _tensors(self) -> dict[str, Tensor]:
        optim = {
            f"{index}/{key}": value
            for index, entries in self._optimizer.state_dict()["state"].items()
            for key, value in entries.items()
            if value is not None
        }
        groups = {
            "model": _digital(self._model),
            "tile": self._tile_states(),
            "optim": optim,
            "rng": {"torch": torch.get_rng_state()},
        }
        return {
            f"{group}:{key}": t for group, entries in groups.items() for key, t in entries.items()
        }

    def _numbers(self, at: Position) -> dict[str, Any]:
        return {
            **self._document,
            "position": at.to_dict(),
            "warm_start": self._warm_start.state(),
        }

    def _restore_optimizer(self, entries: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in entries.items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = value
        whole = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**whole, "state": state})


def restore_network(
    loaded: Loaded,
    model: nn.Module,
    set_tile_states: Callable[[Mapping[str, Tensor]], None],
) -> None:
    """Put the parameters, buffers and tiles of a checkpoint into a network built in the same way.

    Raises:
        CheckpointError: the checkpoint belongs to another network.
    """
    groups = _by_group(loaded.tensors)
    try:
        set_tile_states(groups["tile"])
        digital = _digital(model)
        if set(groups["model"]) != set(digital):
            raise ValueError("it has other parameters")
        with torch.no_grad():
            for name, tensor in digital.items():
                tensor.copy_(groups["model"][name])
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{loaded.path} does not fit this run: {error}") from error


def _digital(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers that are plain tensors; a tile's context is only a handle."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: t for name, t in named if type(t) in (Tensor, nn.Parameter)}


def _by_group(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "tile": {}, "optim": {}, "rng": {}}
    for key, tensor in tensors.items():
        group, _, name = key.partition(":")
        groups[group][name] = tensor
    return groups
