"""Groups of Hydra's that need software which is not always there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from runner.config.errors import ConfigError

_EXTRAS = {
    ("hydra/launcher", "slurm"): ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
    ("hydra/launcher", "submitit_slurm"): ("slurm", ("hydra_plugins.hydra_submitit_launcher",)),
    ("hydra/launcher", "ray"): ("ray", ("hydra_plugins.hydra_ray_launcher", "ray")),
    ("hydra/sweeper", "optuna"): ("optuna", ("optuna",)),
}
SEARCHES = "hydra_plugins.warmtile.OptunaSweeper"
"""Hydra's name for the sweeper that searches."""


def check_extra(group: str, choice: Any) -> None:
    """Refuse an option whose software is missing.

    Args:
        group: of Hydra's, e.g. ``hydra/launcher``.
        choice: its option.

    Raises:
        ConfigError: naming the extra that brings it.
    """
    extra, modules = _EXTRAS.get((group, str(choice)), ("", ()))
    if any(not _found(module) for module in modules):
        raise ConfigError(
            group, choice, f"needs the extra {extra}: pip install -e '.[{extra}]'"
        ) from None


def check_extras(choices: Mapping[str, Any]) -> None:
    """The same for all that a composition chose, also in a preset."""
    for group, choice in choices.items():
        check_extra(group, choice)


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing
        return False


@dataclass
class OptunaSweeperConf:
    """``hydra.sweeper`` of a search; the space is ``hydra.sweeper.params``.

    Args:
        n_trials: trials of the whole search, whatever number of commands it takes.
        n_jobs: trials at once; None = as many as this machine has cores for with joblib and Ray,
            otherwise 1.
        n_startup_trials: drawn at random before the sampler learns from them.
        seed: of the sampler.
        study: name in the storage; follows from space and configuration.
        params: intervals, ranges and choices by key.
    """

    _target_: str = SEARCHES
    n_trials: int = 20
    n_jobs: int | None = None
    n_startup_trials: int = 10
    seed: int = 1
    study: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


def register_sweeper() -> None:
    """Let Hydra know the typed keys of ``hydra/sweeper=optuna``."""
    ConfigStore.instance().store(
        group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="warmtile"
    )


def check_search(sweeper: Any, n_searched: int, val_fraction: float) -> None:
    """Refuse a search that can not find anything.

    Args:
        sweeper: ``hydra.sweeper``.
        n_searched: keys with several values.
        val_fraction: of the jobs.

    Raises:
        ConfigError: naming the key.
    """
    for name in ("n_trials", "n_jobs", "n_startup_trials"):
        value = sweeper.get(name)
        if value is not None and value < 1:
            raise ConfigError(f"hydra.sweeper.{name}", value, "must be at least 1")
    if n_searched == 0:
        raise ConfigError(
            "hydra/sweeper",
            "optuna",
            "there is nothing to search: give a key an interval() or choice()",
        )
    if val_fraction <= 0:
        raise ConfigError(
            "data.val_fraction",
            val_fraction,
            "a search goes by val/accuracy, never by the test: set aside validation images",
            "data.val_fraction=0.1",
        )
