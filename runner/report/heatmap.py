"""Robustness maps: final accuracy over two keys, a panel for each algorithm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from runner.report.figures import Picture, count_text, finals
from runner.report.style import make_axes
from runner.report.tables import Group, order

_PANEL = "algorithm.name"
_MIN_FILLED = 0.75
_MAX_PANELS = 12
_CLASSES = {"cifar100": 100}
_USUAL_CLASSES = 10
_USUAL_TEST_IMAGES = 1000
_STANDARD_ERRORS = 5.0


@dataclass(frozen=True)
class Map:
    """Final accuracies of one panel.

    Args:
        title: of the panel: the algorithm, or what else tells it from the others.
        rows, columns: values of the two keys, in order.
        accuracy: [rows, columns], mean over seeds in per cent; NaN where no run finished.
        limit: below it a run has not learned: 5 standard errors above chance, in per cent.
        chance: accuracy of a guess, in per cent.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    accuracy: np.ndarray
    limit: float
    chance: float

    @property
    def broken(self) -> np.ndarray:
        """[rows, columns], where the algorithm has broken down.

        That is where the accuracy is not 5 standard errors above chance, or nearer to chance than
        to the best of the panel.
        """
        known = np.isfinite(self.accuracy)
        if not known.any():
            return np.zeros(self.accuracy.shape, dtype=bool)
        half = (np.nanmax(self.accuracy) + self.chance) / 2
        return known & ((self.accuracy <= self.limit) | (self.accuracy < half))


@dataclass(frozen=True)
class Maps:
    """All panels over the same two keys.

    Args:
        row_key, column_key: the keys, dotted.
        panels: one a combination of the other keys.
    """

    row_key: str
    column_key: str
    panels: tuple[Map, ...]


def accuracy_maps(groups: Sequence[Group]) -> Maps | None:
    """Maps of the runs, where they span a grid of two keys beside the algorithm; else None."""
    groups = [group for group in groups if group.finished]
    if len(groups) < 4:
        return None
    keys = groups[0].keys
    counts = {key: len({g.values[i] for g in groups}) for i, key in enumerate(keys)}
    axes = sorted(
        (key for key in keys if key != _PANEL and counts[key] > 1), key=lambda k: -counts[k]
    )
    if len(axes) < 2:
        return None
    column_key, row_key = axes[:2]
    column, row = keys.index(column_key), keys.index(row_key)
    panels: dict[str, list[Group]] = {}
    for group in groups:
        rest = [(k, v) for i, (k, v) in enumerate(zip(keys, group.values, strict=True))
                if i not in (column, row) and counts[k] > 1]  # fmt: skip
        title = ", ".join(v if k.endswith(".name") else f"{_short(k)}={v}" for k, v in rest)
        panels.setdefault(title, []).append(group)
    rows = tuple(sorted({g.values[row] for g in groups}, key=order))
    columns = tuple(sorted({g.values[column] for g in groups}, key=order))
    filled = len(groups) / (len(panels) * len(rows) * len(columns))
    if len(panels) > _MAX_PANELS or filled < _MIN_FILLED:
        return None
    maps = tuple(_map(title, members, (rows, row), (columns, column))
                 for title, members in panels.items())  # fmt: skip
    return Maps(row_key, column_key, maps)


def _map(
    title: str, members: Sequence[Group], rows: tuple[Any, int], columns: tuple[Any, int]
) -> Map:
    accuracy = np.full((len(rows[0]), len(columns[0])), np.nan)
    for group in members:
        at = rows[0].index(group.values[rows[1]]), columns[0].index(group.values[columns[1]])
        accuracy[at] = float(np.mean(finals(group)))
    run = members[0].finished[0]
    chance = 1 / _CLASSES.get(str(run.config.get("data.name")), _USUAL_CLASSES)
    images: Mapping[str, Any] = run.summary.get("images") or {}
    n = int(images.get("test") or _USUAL_TEST_IMAGES)
    limit = chance + _STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / n)
    return Map(title, rows[0], columns[0], accuracy, 100 * limit, 100 * chance)


def _short(key: str) -> str:
    return key.rpartition(".")[2] if not key.endswith(".name") else key.split(".")[0]


def heat_maps(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Heat maps of final test accuracy; cells where the algorithm breaks down have a frame."""
    maps = accuracy_maps(groups)
    if maps is None:
        return None
    n = len(maps.panels)
    columns = min(n, 4)
    rows = math.ceil(n / columns)
    first = maps.panels[0]
    width = min(14.0, 1.4 + columns * max(1.9, 0.62 * len(first.columns)))
    height = 1.5 + rows * max(1.5, 0.5 * len(first.rows) + 0.5)
    figure, axes = make_axes(columns, rows, (width, height))
    values = np.concatenate([panel.accuracy.ravel() for panel in maps.panels])
    top = max(float(np.nanmax(values)), 1.0)
    image = None
    for i, axis in enumerate(axes):
        axis.set_visible(i < n)
        if i >= n:
            continue
        image = _draw(axis, maps.panels[i], top)
        axis.set_xlabel(_short(maps.column_key))
        if i % columns == 0:
            axis.set_ylabel(_short(maps.row_key))
    figure.colorbar(image, ax=axes, shrink=0.8, label="test accuracy, %")
    caption = (
        "Final test accuracy, mean over seeds; a frame marks where an algorithm breaks down: not 5 "
        "standard errors above chance, or nearer to chance than to its best in the map. "
        f"{count_text(groups)}"
    )
    return figure, Picture(
        "robustness", "Robustness", caption, "Heat maps of the final accuracy of each algorithm."
    )


def _draw(axis: Any, panel: Map, top: float) -> Any:
    from matplotlib.patches import Rectangle

    image = axis.imshow(panel.accuracy, cmap="cividis", vmin=0, vmax=top, aspect="auto")
    axis.grid(visible=False)
    axis.set_xticks(range(len(panel.columns)), panel.columns, fontsize=8)
    axis.set_yticks(range(len(panel.rows)), panel.rows, fontsize=8)
    axis.set_title(panel.title, fontsize=10, loc="left")
    broken = panel.broken
    for (y, x), value in np.ndenumerate(panel.accuracy):
        if not np.isfinite(value):
            axis.text(x, y, "-", ha="center", va="center", fontsize=8, color="0.4")
            continue
        ink = "black" if value > 0.6 * top else "white"
        axis.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=8, color=ink)
        if broken[y, x]:
            frame = Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, ec="#D55E00", lw=1.6)
            axis.add_patch(frame)
    return image


def breakdown_table(groups: Sequence[Group]) -> pd.DataFrame:
    """Where each algorithm breaks down: by row of the map, the values of the column key."""
    maps = accuracy_maps(groups)
    if maps is None:
        return pd.DataFrame()
    rows = []
    for panel in maps.panels:
        broken = panel.broken
        for y, value in enumerate(panel.rows):
            known = np.isfinite(panel.accuracy[y])
            lost = [c for x, c in enumerate(panel.columns) if broken[y, x]]
            kept = [c for x, c in enumerate(panel.columns) if known[x] and not broken[y, x]]
            rows.append(
                {
                    "panel": panel.title or "all runs",
                    maps.row_key: value,
                    f"works at {maps.column_key}": ", ".join(kept) or "-",
                    "breaks down at": ", ".join(lost) or "-",
                }
            )
    return pd.DataFrame(rows)
