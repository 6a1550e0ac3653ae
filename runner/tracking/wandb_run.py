"""Weights & Biases: a run there for each run here, offline unless asked otherwise."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config.errors import one_line
from runner.config.schema import (
    Config,
    DeviceConfig,
    ReslConfig,
    SoftBoundsConfig,
    WandbConfig,
    is_pulsed,
)
from runner.config.values import config_from_dict, config_hash
from runner.files import write_atomic
from runner.tracking.base import Histogram, RunInfo, Tracker, scalars
from runner.tracking.jsonl import read_metrics

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

ID_FILE = "wandb.json"
"""In the run folder: which W&B run it is."""

_ARTIFACT_FILES = ("config.yaml", "metrics.jsonl", "summary.json", "curves.png")
# W&B's service brings what it was sent to disk this often; the system is looked at that often.
_FLUSH_S, _SYSTEM_S = 1.0, 5.0
# Waiting for a server: before training, and after it (what is not sent by then stays on disk).
_INIT_TIMEOUT_S, _FINISH_TIMEOUT_S = 30.0, 120.0


class Wandb(Tracker):
    """Logs a row an epoch, histograms of the tiles, and at the end summary and artifact.

    Rows are drawn over their `epoch`, so an epoch that a continued run trains again lands where it
    was; W&B's own step counts rows, over all sittings. One run folder is one W&B run: its identity
    is made at random once and kept in the folder.

    Args:
        settings: the section `wandb` of the configuration.
    """

    wants_histograms = True

    def __init__(self, settings: WandbConfig) -> None:
        self._settings = settings
        self._run: wandb.Run | None = None
        self._run_dir = Path()
        self._identity: _Identity | None = None
        self._histograms: tuple[int, dict[str, Any]] = (-1, {})

    def start(self, info: RunInfo) -> None:
        """Open the W&B run, or the next sitting of it."""
        self._run_dir = info.run_dir
        identity = self._identity = _identity(info)
        _keep(info.run_dir, replace(identity, closed=False))
        self._run = self._open(info, identity.run_id)
        self._run.define_metric("epoch")
        self._run.define_metric("*", step_metric="epoch")
        if info.finished_epochs is not None:
            for line in _missing(read_metrics(info.run_dir / "metrics.jsonl"), identity):
                self.epoch(line)

    def histograms(self, epoch: int, found: Mapping[str, Histogram]) -> None:
        """Keep the histograms for the row of the epoch."""
        import wandb

        self._histograms = (
            epoch,
            {
                name: wandb.Histogram(np_histogram=(each.counts, each.edges))
                for name, each in found.items()
            },
        )

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Log the row of the epoch."""
        assert self._run is not None
        epoch, histograms = self._histograms
        more = histograms if epoch == metrics["epoch"] else {}
        self._run.log({**scalars(metrics), **more}, commit=True)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write summary and artifact; a run that did not finish is marked as failed there."""
        assert self._run is not None
        self._run.summary.update(_summary(summary))
        self._log_artifact(self._run)
        self._end(0 if summary["status"] == "finished" else 1)

    def close(self) -> None:
        """End a run that `finish` did not end."""
        self._end(1)

    def _end(self, exit_code: int) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        try:
            run.finish(exit_code=exit_code)
            if self._identity is not None:
                _keep(self._run_dir, replace(self._identity, closed=True))
        except Exception:
            import wandb

            # The service is gone. Its hook for the end of this process would print a traceback.
            with contextlib.suppress(Exception):
                wandb.teardown()
            raise

    def _open(self, info: RunInfo, run_id: str) -> wandb.Run:
        import wandb

        mode = self._settings.mode
        if mode == "online":
            try:
                return self._init(info, run_id, mode)
            except wandb.Error as error:
                log.warning(
                    "W&B can not be reached, this sitting is recorded offline for `wandb sync`: %s",
                    textwrap.shorten(one_line(str(error)), 200, placeholder=" ..."),
                )
                # The service keeps the run's id for the attempt that failed.
                wandb.teardown()
        return self._init(info, run_id, "offline")

    def _init(self, info: RunInfo, run_id: str, mode: str) -> wandb.Run:
        import wandb

        settings, cfg = self._settings, config_from_dict(info.config)
        folder = info.run_dir if settings.dir is None else Path(settings.dir).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        # All of it is said here, so that WANDB_RUN_ID, WANDB_RUN_GROUP and the like in somebody's
        # shell can not make one run of a grid's jobs.
        return wandb.init(
            dir=str(folder.resolve()),
            id=run_id,
            resume="allow",
            reinit="create_new",
            mode=mode,  # type: ignore[arg-type]
            entity=settings.entity,
            project=settings.project,
            group=settings.group or info.grid or "",
            job_type="train",
            name=info.run_dir.resolve().name,
            tags=_tags(cfg),
            config={**info.config, "arm": arm(cfg)},
            settings=wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                x_save_requirements=False,
                init_timeout=_INIT_TIMEOUT_S,
                finish_timeout=_FINISH_TIMEOUT_S,
                x_transaction_log_flush_interval=_FLUSH_S,
                x_stats_sampling_interval=_SYSTEM_S,
            ),
        )

    def _log_artifact(self, run: wandb.Run) -> None:
        """The files that describe the run, as they are at the end of this sitting.

        Copied beside W&B's own files: the next sitting writes new ones, and W&B's staging area is
        in the home folder, where a moved run folder would lose them.
        """
        import wandb

        copies = Path(run.dir).parent / "artifact"
        copies.mkdir()
        artifact = wandb.Artifact(f"run-{run.id}", type="run")
        for name in _ARTIFACT_FILES:
            if (self._run_dir / name).is_file():
                shutil.copyfile(self._run_dir / name, copies / name)
                artifact.add_file(
                    str(copies / name), name=name, policy="immutable", skip_cache=True
                )
        run.log_artifact(artifact)


@dataclass(frozen=True)
class _Identity:
    """Which W&B run a folder is.

    Args:
        run_id: id of the W&B run.
        config: hash of what the run computes.
        closed: whether the last sitting was closed; None before the first one.
    """

    run_id: str
    config: str
    closed: bool | None


def _identity(info: RunInfo) -> _Identity:
    """The identity kept in the folder, or a new one.

    A run that begins anew is another one, unless it repeats a run that did not get to its first
    checkpoint.
    """
    computes = config_hash(config_from_dict(info.config))
    with contextlib.suppress(OSError, ValueError, TypeError):
        text = (info.run_dir / ID_FILE).read_text(encoding="utf-8")
        kept = _Identity(**json.loads(text))
        if info.finished_epochs is not None or kept.config == computes:
            return kept
    return _Identity(f"{computes}-{secrets.token_hex(4)}", computes, None)


def _keep(run_dir: Path, identity: _Identity) -> None:
    write_atomic(run_dir / ID_FILE, json.dumps(asdict(identity)).encode())


def _missing(lines: list[dict[str, Any]], identity: _Identity) -> list[dict[str, Any]]:
    """Lines of earlier sittings that W&B may lack: all, or what a kill kept from the disk."""
    if identity.closed is None or not lines:
        return lines
    if identity.closed:
        return []
    until = lines[-1]["time/total_s"] - 2 * _FLUSH_S
    return [line for line in lines if line["time/total_s"] >= until]


def _tags(cfg: Config) -> list[str]:
    """What runs are chosen by in W&B's table."""
    found = [cfg.model.name, cfg.algorithm.name, cfg.data.name]
    found += _hardware(cfg)
    if cfg.warm_start.enabled:
        found.append("warm start")
    return list(dict.fromkeys([*found, *cfg.wandb.tags]))


def _hardware(cfg: Config) -> list[str]:
    """The device, where it is not the usual one, and its states, where it has a number of them."""
    if not is_pulsed(cfg.algorithm):
        return []
    names = [] if isinstance(cfg.device, SoftBoundsConfig) else [cfg.device.name]
    if isinstance(cfg.device, DeviceConfig):
        names.append(f"{cfg.device.states:.4g} states")
    return names


def arm(cfg: Config) -> str:
    """Algorithm and hardware in a word: what runs with different seeds have in common.

    W&B's panels group by one key only, so this is one more key of the configuration there.
    """
    parts = [cfg.algorithm.name]
    if isinstance(cfg.algorithm, ReslConfig):
        parts.append(f"{cfg.algorithm.n_tiles} tiles")
    parts += _hardware(cfg)
    if cfg.warm_start.enabled:
        parts.append("warm start")
    return ", ".join(parts)


def _summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Best and final values as ``best/test/accuracy`` and ``final/test/accuracy``, and the rest."""
    found: dict[str, Any] = {}
    for part in ("best", "final"):
        values = summary.get(part) or {}
        found |= {f"{part}/{name}": value for name, value in scalars(values).items()}
    found["best/by"] = (summary.get("best") or {}).get("by")
    for name in ("status", "message", "epochs", "seed", "wall_time_s", "peak_memory_mb"):
        found[f"run/{name}"] = summary.get(name)
    for name in ("cross_points", "git_commit", "versions", "machine", "images", "threads"):
        found[f"run/{name}"] = summary.get(name)
    return found
