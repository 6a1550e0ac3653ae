"""Whether a checkpoint may be continued with a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.config.schema import Config
from runner.config.values import NOT_HASHED, config_to_dict, flatten
from runner.errors import UserError

if TYPE_CHECKING:
    from runner.training.checkpoint import Loaded

_ABSENT = "absent"


def differing_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys that decide what a run computes and have two values, as ``{key: (before, now)}``.

    Keys that only say where and how a run is kept may differ, and ``run.epochs``, with which a
    run is prolonged, unless the schedule of the learning rate follows from it.
    """
    old, new = flatten(before), flatten(now)
    free: set[str] = set(NOT_HASHED)
    if new.get("optim.schedule") != "cosine":
        free.add("run.epochs")
    return {
        key: (old.get(key, _ABSENT), new.get(key, _ABSENT))
        for key in sorted(old.keys() | new.keys())
        if key not in free and old.get(key, _ABSENT) != new.get(key, _ABSENT)
    }


def check_continuable(loaded: Loaded, cfg: Config) -> None:
    """Refuse to continue a checkpoint as another run.

    Raises:
        UserError: with the keys that differ, or where ``run.epochs`` lies behind the checkpoint.
    """
    # Through JSON, tuples have become lists there, as `config_to_dict` makes them here.
    differing = differing_keys(loaded.document["config"], config_to_dict(cfg))
    if differing:
        texts = [f"{key} ({old} there, {new} now)" for key, (old, new) in differing.items()]
        raise UserError(
            f"run.dir={cfg.run.dir}: its checkpoint belongs to another configuration, differing in "
            f"{', '.join(texts)}: use the old values or another run.dir"
        )
    position = loaded.document["position"]
    begun = position["epoch"] + (position["batch"] > 0)
    if cfg.run.epochs < begun:
        raise UserError(
            f"run.epochs={cfg.run.epochs}: the checkpoint in run.dir={cfg.run.dir} is in epoch "
            f"{begun} already; choose at least that"
        )
