"""Tables of a report, as data frames; each becomes a CSV and a table of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from runner.report.collect import (
    SEED,
    Run,
    configuration,
    differing_keys,
    label,
    show,
    telling_keys,
)

BAD = ("failed", "diverged", "interrupted", "unfinished", "damaged")


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only.

    Args:
        label: for people.
        keys: keys that tell groups apart.
        values: their values here.
        runs: all of them, in the order of their seeds.
    """

    label: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def finished(self) -> list[Run]:
        """The runs that count."""
        return [run for run in self.runs if run.state == "finished" and run.metrics]

    @property
    def seeds(self) -> str:
        """E.g. ``1, 2, 3``."""
        return seeds(self.runs)


def seeds(runs: Sequence[Run]) -> str:
    """E.g. ``1, 2, 3``, or ``1-10``."""
    found = sorted({run.seed for run in runs if isinstance(run.seed, int)})
    if len(found) > 3 and found[-1] - found[0] == len(found) - 1:
        return f"{found[0]}-{found[-1]}"
    return ", ".join(map(str, found)) or "?"


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Groups of runs that differ in their seed only, in the order of their values."""
    known = [run for run in runs if run.config]
    keys = telling_keys(known)
    by_values: dict[tuple[str, ...], list[Run]] = {}
    for run in known:
        by_values.setdefault(configuration(run, keys), []).append(run)
    return [
        Group(label(keys, v), tuple(keys), v, tuple(sorted(members, key=_by_seed)))
        for v, members in sorted(by_values.items(), key=lambda item: tuple(map(order, item[0])))
    ]


def _by_seed(run: Run) -> tuple[int, str]:
    return (run.seed if isinstance(run.seed, int) else -1, run.name)


def order(value: str) -> tuple[int, float, str]:
    """Numbers by size, then texts."""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def final_table(groups: Sequence[Group]) -> pd.DataFrame:
    """Final test accuracy by configuration: mean, standard deviation, n; finished runs only."""
    rows = []
    for group in groups:
        done = group.finished
        accuracy = pd.Series([run.last("test/accuracy") for run in done], dtype=float) * 100
        chosen = pd.Series([run.at_best_validation() for run in done], dtype=float) * 100
        time = pd.Series([run.last("time/epoch_s") for run in done], dtype=float)
        memory = pd.Series([run.summary.get("peak_memory_mb") for run in done], dtype=float)
        row: dict[str, object] = dict(zip(group.keys, group.values, strict=True))
        row |= {
            "runs": len(group.runs),
            "n": int(accuracy.count()),
            "epochs": show(max((run.epoch or 0 for run in done), default=None)),
            "test accuracy, %": accuracy.mean(),
            "sd": accuracy.std(),
            "min": accuracy.min(),
            "max": accuracy.max(),
            "s an epoch": time.mean(),
            "peak memory, MB": memory.mean(),
        }
        if chosen.notna().any():
            row["test accuracy at best validation, %"] = chosen.mean()
        rows.append(row)
    return pd.DataFrame(rows)


def accuracy_grid(groups: Sequence[Group]) -> pd.DataFrame | None:
    """The same as a grid: the states in columns, everything else in rows; None without states.

    Cells are ``mean ± sd (n)`` in per cent.
    """
    keys = groups[0].keys if groups else ()
    column = next((key for key in ("device.n_states", "device.dw_min") if key in keys), None)
    if column is None:
        return None
    at = keys.index(column)
    cells: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    for group in groups:
        rest = tuple(v for i, v in enumerate(group.values) if i != at)
        row = label([key for key in keys if key != column], rest)
        head = f"{column.rpartition('.')[2]}={group.values[at]}"
        columns[head] = None
        cells.setdefault(row, {})[head] = _mean_text(group)
    ordered = sorted(columns, key=lambda head: order(head.partition("=")[2]))
    frame = pd.DataFrame.from_dict(cells, orient="index").reindex(columns=ordered)
    return frame.fillna("").rename_axis("test accuracy, %").reset_index()


def _mean_text(group: Group) -> str:
    values = pd.Series([run.last("test/accuracy") for run in group.finished], dtype=float) * 100
    if not values.count():
        return "-"
    spread = f" ± {values.std():.1f}" if values.count() > 1 else ""
    return f"{values.mean():.1f}{spread} ({values.count()})"


def runs_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run."""
    keys = telling_keys(runs)
    rows = []
    for run in runs:
        row: dict[str, object] = {"run": run.name, "state": run.state}
        row |= {key: show(run.config.get(key)) for key in [*keys, SEED]}
        accuracy, validation = run.last("test/accuracy"), run.last("val/accuracy")
        row |= {
            "epoch": show(run.epoch),
            "of": show(run.config.get("run.epochs")),
            "test accuracy, %": None if accuracy is None else 100 * accuracy,
            "validation accuracy, %": None if validation is None else 100 * validation,
            "train loss": run.last("train/loss"),
            "time, s": run.last("time/total_s"),
            "peak memory, MB": run.summary.get("peak_memory_mb"),
            "commit": str(run.summary.get("git_commit") or "")[:12],
        }
        rows.append(row)
    frame = pd.DataFrame(rows)
    empty = frame.columns[frame.isna().all()]
    return frame.drop(columns=empty)


def differences_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Configurations side by side: only the keys that differ, one row each, and how many runs."""
    known = [run for run in runs if run.config]
    rows = []
    for key in differing_keys(known):
        counted: dict[str, int] = {}
        for run in known:
            value = show(run.config[key]) if key in run.config else "absent"
            counted[value] = counted.get(value, 0) + 1
        texts = [f"{v} ({n})" for v, n in sorted(counted.items(), key=lambda i: order(i[0]))]
        rows.append({"key": key, "values (runs)": ", ".join(texts)})
    return pd.DataFrame(rows, columns=["key", "values (runs)"])


def failures_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Runs that did not finish, and why."""
    rows = [
        {
            "run": run.name,
            "state": run.state,
            "epoch": show(run.epoch),
            "what happened": run.message,
            "folder": str(run.path),
        }
        for run in runs
        if run.state in BAD
    ]
    return pd.DataFrame(rows, columns=["run", "state", "epoch", "what happened", "folder"])


def writes_table(groups: Sequence[Group]) -> pd.DataFrame:
    """Pulses written, transfers and share at a bound by configuration, layer and device; means."""
    rows = []
    for group in groups:
        for run in group.finished:
            last = run.metrics[-1]
            for name, value in last.items():
                part = name.split("/")
                if part[0] == "tiles" and part[-1] == "pulses":
                    prefix = name.removesuffix("pulses")
                    rows.append(
                        {
                            "configuration": group.label,
                            "layer": "/".join(part[1:-2]),
                            "device": int(part[-2].removeprefix("device")),
                            "pulses": value,
                            "transfers": last.get(prefix + "transfers"),
                            "share at a bound": last.get(prefix + "share_at_bound"),
                            "mean |weight|": last.get(prefix + "mean_abs_weight"),
                        }
                    )
    if not rows:
        return pd.DataFrame()
    by = pd.DataFrame(rows).groupby(["configuration", "layer", "device"], sort=False)
    means = pd.DataFrame(by.mean(numeric_only=True))
    means["n"] = by.size()
    return means.reset_index()
