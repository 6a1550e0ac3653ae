"""Mistakes in the keys of Hydra's launchers and sweepers, in words.

Their keys are typed by the plugins; Hydra itself says at length that something is wrong, not what.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from runner.config.errors import ConfigError, nearest

_TYPED = ("hydra.launcher.", "hydra.sweeper.")


def is_plugin_key(item: Override) -> bool:
    """Whether an override sets a key of a launcher or a sweeper."""
    return item.key_or_group.startswith(_TYPED)


def check_plugin_keys(items: Sequence[Override], hydra: DictConfig) -> None:
    """Check overrides of launcher and sweeper against the types of the chosen plugins.

    Args:
        items: those that `is_plugin_key` knows.
        hydra: Hydra's part of the composition without them.

    Raises:
        ConfigError: for an unknown key, or a value of the wrong type.
    """
    hydra = copy.deepcopy(hydra)
    for item in items:
        typed, _, value = (item.input_line or "").partition("=")
        path = item.key_or_group.removeprefix("hydra.")
        above, _, leaf = path.rpartition(".")
        node = OmegaConf.select(hydra, above, throw_on_missing=False)
        if isinstance(node, DictConfig) and leaf not in node:
            if OmegaConf.get_type(node) is dict and above not in ("launcher", "sweeper"):
                continue  # free: whatever Ray or sbatch take
            names = [str(name) for name in node if not str(name).startswith("_")]
            near = nearest(leaf, names)
            raise ConfigError(
                typed,
                value,
                "there is no such key; there are " + ", ".join(names),
                near and f"hydra.{above}.{near}",
            )
        try:
            with open_dict(hydra):
                OmegaConf.update(hydra, path, item.value(), merge=True)
        except OmegaConfBaseException as error:
            raise ConfigError(typed, value, str(error).splitlines()[0]) from None
