"""From which checkpoint a configuration goes on, if from any."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.config.schema import Config
from runner.config.values import NOT_HASHED, config_to_dict, flatten
from runner.errors import UserError
from runner.tracking.run_folder import holds_run, read_summary

if TYPE_CHECKING:
    from runner.training.checkpoint import CheckpointStore, Loaded

log = logging.getLogger(__name__)

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


def finished_before(cfg: Config, cwd: Path | None = None) -> dict[str, Any] | None:
    """The summary of this very run, where its folder says that it is finished; else None.

    Reads two small files, so that a grid need not load torch for what is done already.

    Args:
        cfg: the run.
        cwd: what a relative ``run.dir`` is relative to; None = the working folder.
    """
    run_dir = (cwd or Path()) / cfg.run.dir
    summary = read_summary(run_dir)
    if summary is None or summary.get("status") != "finished":
        return None
    try:
        config = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    if not isinstance(config, dict) or differing_keys(config, config_to_dict(cfg)):
        return None
    return summary if summary["epochs"] == cfg.run.epochs else None


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


def find_checkpoint(cfg: Config, store: CheckpointStore) -> Loaded | None:
    """The checkpoint to continue from; None for a fresh run.

    Raises:
        UserError: run.resume does not allow what is there, or it is of another configuration.
    """
    run_dir = Path(cfg.run.dir)
    if cfg.run.resume == "never":
        if holds_run(run_dir):
            raise UserError(
                f"run.resume=never: run.dir={cfg.run.dir} already holds a run; choose another "
                "run.dir, or run.resume=auto to continue it"
            )
        return None
    loaded, complaints = store.newest()
    for complaint in complaints:
        log.warning("%s: the checkpoint before it is used", complaint)
    if loaded is None:
        if cfg.run.resume == "must":
            raise UserError(
                f"run.resume=must: there is no checkpoint in run.dir={cfg.run.dir}; "
                "run.resume=auto starts a new run there"
            )
        return None
    check_continuable(loaded, cfg)
    return loaded


def finished_summary(cfg: Config, loaded: Loaded) -> dict[str, Any] | None:
    """The summary of a run that has nothing left to do; None for any other."""
    summary = read_summary(Path(cfg.run.dir))
    if summary is None or summary["status"] != "finished":
        return None
    position = loaded.document["position"]
    done = position["epoch"] >= cfg.run.epochs and position["batch"] == 0
    return summary if done and summary["epochs"] == position["epoch"] else None
