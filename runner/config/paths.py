"""Whether the folders that a run needs can be had. Reads, never writes."""

from __future__ import annotations

import os
from pathlib import Path

from runner.config.errors import ConfigError
from runner.config.schema import Config, DataConfig

_RUN_FILES = ("config.yaml", "metrics.jsonl", "checkpoints")
_NEEDS_ROOT = ("mnist", "fashion_mnist", "cifar10", "cifar100")


def check_paths(config: Config) -> None:
    """Check that `run.dir` and `data.root` can be used, and `run.resume` against `run.dir`.

    Raises:
        ConfigError: naming the key and what is in the way.
    """
    run_dir = Path(config.run.dir)
    check_folder("run.dir", config.run.dir, run_dir)
    holds_run = any((run_dir / name).exists() for name in _RUN_FILES)
    if config.run.resume == "must" and not holds_run:
        raise ConfigError(
            "run.resume", "must", f"there is no run to continue in run.dir={config.run.dir}", "auto"
        )
    if config.run.resume == "never" and holds_run:
        raise ConfigError(
            "run.resume", "never", f"run.dir={config.run.dir} already holds a run", "auto"
        )
    if config.data.name in _NEEDS_ROOT:
        _check_data_root(config.data)
    if "wandb" in config.tracking and config.wandb.dir is not None:
        _check_wandb_dir(config.wandb.dir)
    _check_init_from(config.model.init_from)


def _check_wandb_dir(value: str) -> None:
    try:
        folder = Path(value).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError("wandb.dir", value, str(error)) from None
    check_folder("wandb.dir", value, folder)


def _check_init_from(value: str | None) -> None:
    if value is None:
        return
    try:
        path = Path(value).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError("model.init_from", value, str(error)) from None
    if not exists:
        raise ConfigError(
            "model.init_from", value, "does not exist: a safetensors file or a run folder"
        )
    if path.is_dir() and not (path / "checkpoints").is_dir():
        raise ConfigError("model.init_from", value, "is a folder without a run's checkpoints")


def _check_data_root(data: DataConfig) -> None:
    try:
        root = data.root_path
    except RuntimeError as error:  # ~nobody
        raise ConfigError("data.root", data.root, str(error)) from None
    if not data.download and not root.exists():
        raise ConfigError(
            "data.root", data.root, "does not exist, and data.download=false forbids fetching"
        )
    check_folder("data.root", data.root, root, must_write=data.download)
    if data.root != DataConfig().root and not root.exists() and not root.parent.is_dir():
        raise ConfigError("data.root", data.root, f"its parent {root.parent} does not exist")


def check_folder(key: str, value: str, folder: Path, must_write: bool = True) -> None:
    """Check that a folder is there, or can be made.

    Raises:
        ConfigError: naming the key and what is in the way.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ConfigError(key, value, "is a file; a folder is needed")
        existing = folder.absolute()
        while not os.path.lexists(existing):
            existing = existing.parent
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(key, value, f"can not be a folder: {reason.lower()}") from None
    if not existing.is_dir():
        raise ConfigError(key, value, f"{existing} is not a folder")
    if must_write and not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(key, value, f"no permission to write in {existing}")
