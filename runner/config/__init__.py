"""Typed, checked configuration. Nothing here imports torch; Hydra is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from runner.config.describe import describe_keys
from runner.config.errors import ConfigError
from runner.config.schema import Config
from runner.config.values import config_from_dict, config_hash, config_to_dict, run_slug

__all__ = [
    "Config",
    "ConfigError",
    "config_from_dict",
    "config_hash",
    "config_to_dict",
    "describe_keys",
    "load_config",
    "run_slug",
]


def load_config(overrides: Sequence[str] = ()) -> Config:
    """Compose one run from ``conf/`` and check it strictly.

    Args:
        overrides: as on the command line, e.g. ``["algorithm=sgd", "run.epochs=3"]``.

    Raises:
        ConfigError: for the first thing that is wrong; nothing has been written.
    """
    from runner.config.compose import load_config as compose

    return compose(overrides)
