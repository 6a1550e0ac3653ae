"""Run folders -> records: whatever state a run is in, it is read as far as it can be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runner.config.values import NOT_HASHED, flatten
from runner.errors import UserError
from runner.tracking.jsonl import read_metrics
from runner.tracking.run_folder import at_work, holds_run

SEED = "run.seed"
_FIRST = (
    "algorithm.name",
    "warm_start.enabled",
    "model.name",
    "data.name",
    "device.name",
    "device.n_states",
    "device.dw_min",
    "algorithm.n_tiles",
    "algorithm.gamma",
)
"""Keys that are named before all others where they tell runs apart."""

# PyYAML's C loader reads 300 configurations in a second, the other one in ten.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """One run folder.

    Args:
        path: the folder.
        state: finished, failed, diverged, interrupted, running, unfinished (it died, or has not
            been continued) or damaged (a file of it can not be read).
        message: what is wrong, in one line; empty for a good one.
        config: ``{"run.epochs": 10, ...}``; empty where it can not be read.
        metrics: lines of metrics.jsonl.
        summary: of summary.json; empty where there is none.
    """

    path: Path
    state: str
    message: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def seed(self) -> Any:
        """Seed of the run."""
        return self.config.get(SEED)

    @property
    def epoch(self) -> int | None:
        """Last epoch that is done; None before the first line."""
        return self.metrics[-1].get("epoch") if self.metrics else None

    def last(self, name: str) -> float | None:
        """Newest value of a metric."""
        return self.metrics[-1].get(name) if self.metrics else None

    def at_best_validation(self) -> float | None:
        """Test accuracy of the epoch with the best validation accuracy; None without one."""
        scored = [m for m in self.metrics if m.get("val/accuracy") is not None]
        if not scored:
            return None
        return max(scored, key=lambda m: m["val/accuracy"]).get("test/accuracy")


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """Every run in or below the folders, sorted by path.

    Raises:
        UserError: a folder does not exist, or none holds a run.
    """
    found: dict[Path, Run] = {}
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder")
        for path in _run_folders(folder):
            found.setdefault(path.resolve(), read_run_folder(path))
    if not found:
        raise UserError(f"{', '.join(map(str, folders))}: holds no run")
    return [found[path] for path in sorted(found)]


def _run_folders(folder: Path) -> Iterator[Path]:
    for path, names, files in os.walk(folder, followlinks=True):
        if holds_run(Path(path)) or "summary.json" in files:
            names.clear()
            yield Path(path)
        names[:] = sorted(name for name in names if not name.startswith("."))


def read_run_folder(path: Path) -> Run:
    """Read one run folder; never raises for what is in it."""
    complaints: list[str] = []
    config = _read(path / "config.yaml", _config, complaints) or {}
    metrics = _read(path / "metrics.jsonl", _metrics, complaints) or []
    summary = _read(path / "summary.json", _summary, complaints) or {}
    if at_work(path):
        state, message = "running", ""
    elif complaints:
        state, message = "damaged", "; ".join(complaints)
    elif not summary:
        state, message = "unfinished", "ended without a summary; the same command continues it"
    else:
        state, message = str(summary["status"]), str(summary.get("message") or "")
    return Run(path, state, message, config, metrics, summary)


def _read(path: Path, how: Any, complaints: list[str]) -> Any:
    if not path.is_file():
        return None
    try:
        return how(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        first = (str(error).splitlines() or [""])[0]
        complaints.append(f"{path.name} can not be read: {first or type(error).__name__}")
        return None


def _config(path: Path) -> dict[str, Any]:
    values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    if not isinstance(values, dict):
        raise ValueError("is no configuration")
    return flatten(values)


def _metrics(path: Path) -> list[dict[str, Any]]:
    lines = read_metrics(path)
    for line in lines:
        int(line["epoch"])
    return lines


def _summary(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values.get("status"), str):
        raise ValueError("is no summary")
    return values


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """Keys of the configuration with more than one value, without seed and places."""
    known = [run.config for run in runs if run.config]
    keys = sorted({key for config in known for key in config})
    return [
        key
        for key in keys
        if key not in NOT_HASHED
        and key != SEED
        and len({repr(config.get(key)) for config in known}) > 1
    ]


def telling_keys(runs: Sequence[Run]) -> list[str]:
    """The few of `differing_keys` that tell the configurations apart; the others follow from them.

    ``algorithm=resl,ttv2`` changes dozens of keys, but one name says it all.
    """
    known = [run for run in runs if run.config]
    differing = differing_keys(known)
    ordered = [key for key in _FIRST if key in differing]
    ordered += [key for key in differing if key.endswith(".name") and key not in ordered]
    ordered += [key for key in differing if key not in ordered]
    chosen: list[str] = []
    for key in ordered:
        classes = {configuration(run, chosen) for run in known}
        finer = {configuration(run, [*chosen, key]) for run in known}
        if len(finer) > len(classes):
            chosen.append(key)
    return chosen


def configuration(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    """Values of some keys as texts."""
    return tuple(show(run.config.get(key)) for key in keys)


def show(value: Any) -> str:
    """A value as one reads it: ``0.5``, ``true``, ``-`` for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ",".join(show(item) for item in value)
    return str(value)


def label(keys: Sequence[str], values: Sequence[str]) -> str:
    """``resl, n_states=4``: names stand alone, other values with the end of their key."""
    parts = []
    for key, value in zip(keys, values, strict=True):
        parts.append(value if key.endswith(".name") else f"{key.rpartition('.')[2]}={value}")
    return ", ".join(parts) or "all runs"
