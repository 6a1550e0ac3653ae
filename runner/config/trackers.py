"""Where the metrics of a run go beside its folder, and whether that can be had."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from runner.config.errors import ConfigError
from runner.config.keys import key

if TYPE_CHECKING:
    from runner.config.schema import Config

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NAME_DOC = "letters, digits, dot, dash, underscore, at most 128, no leading dot or dash"

TRACKERS = {"wandb": ("wandb", "wandb"), "tensorboard": ("tensorboard", "warmtile[tensorboard]")}
"""Names allowed in `tracking`, each with the module it needs and what pip installs it."""


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases, for tracking=[wandb]."""

    mode: Literal["offline", "online", "disabled"] = key(
        "offline",
        "offline: files in the run folder, for `wandb sync`; online: sent at once, needs an API "
        "key; disabled: nothing.",
        common=True,
    )
    project: str = key("warmtile", "Project.", pattern=_NAME, pattern_doc=_NAME_DOC)
    entity: str | None = key(
        None, "User or team; null = your default.", pattern=_NAME, pattern_doc=_NAME_DOC
    )
    group: str | None = key(
        None,
        "Group of the run; null = for a job of a grid the grid's, the same whenever the same "
        "command goes on; none for a single run.",
        pattern=_NAME,
        pattern_doc=_NAME_DOC,
    )
    tags: tuple[str, ...] = key(
        (),
        "Tags beside those for model, algorithm, data, states and warm start.",
        pattern=r"[^\x00-\x1f,]{1,64}",
        pattern_doc="1 to 64 characters without a comma",
    )
    dir: str | None = key(None, "Folder of W&B's files; null = the run folder.")


def check_trackers(config: Config) -> None:
    """Check that what `tracking` names is installed, and that W&B has a key if it is to be online.

    Raises:
        ConfigError: naming what to install, or how to log in.
    """
    for name in config.tracking:
        module, package = TRACKERS[name]
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                "tracking",
                config.tracking,
                f"the package {module} is not installed: pip install '{package}'",
            )
    if "wandb" in config.tracking and config.wandb.mode == "online" and not _logged_in():
        raise ConfigError(
            "wandb.mode",
            "online",
            "there is no API key: set WANDB_API_KEY or run `wandb login`",
            "offline",
        )


@functools.cache
def _logged_in() -> bool:
    """Whether W&B finds a key. It alone knows all the places; asked only for wandb.mode=online."""
    import wandb

    with contextlib.redirect_stderr(io.StringIO()):  # it says where it found the key
        try:
            return bool(wandb.login(prompt=False, verify=False))
        except wandb.Error:
            return False
