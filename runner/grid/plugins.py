"""Launchers and sweepers of ours, where Hydra finds them."""

from __future__ import annotations

import importlib
from typing import Any

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

_OURS = {
    "hydra_plugins.warmtile.SlurmLauncher": "runner.grid.slurm_launcher",
    "hydra_plugins.warmtile.OptunaSweeper": "runner.grid.search",
}
"""Hydra takes plugins by names in ``hydra_plugins`` only; the modules need an extra each."""


def register_plugins(hydra: DictConfig) -> None:
    """Make those of our plugins known that a composition names.

    Args:
        hydra: Hydra's part of the configuration.
    """
    for node in (hydra.launcher, hydra.sweeper):
        target = str(node.get("_target_", ""))
        if target in _OURS:
            module = importlib.import_module(_OURS[target])
            plugin = getattr(module, target.rpartition(".")[2])
            Plugins.instance().class_name_to_class[target] = plugin


def launcher_name(launcher: Any) -> str:
    """``basic``, ``joblib``, ``slurm``, ``ray`` or what another plugin calls itself.

    Args:
        launcher: ``hydra.launcher``.
    """
    name = str(launcher.get("_target_", "")).rpartition(".")[2]
    return name.removesuffix("Launcher").lower()
