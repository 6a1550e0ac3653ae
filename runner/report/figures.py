"""Pictures of a report: curves, final accuracy, warm start, conductances, writes, cost."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from runner.report.collect import Run
from runner.report.style import (
    COLOURS,
    MARKS,
    colours,
    make_axes,
    ordered_colours,
    save,
    to_svg,
    whole_numbers,
)
from runner.report.tables import Group, seeds

_TILE = re.compile(r"tile:(.+)/(?:(\d+)\.)?weights")
_MAX_PANELS = 8
_MAX_BARS = 40


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Args:
        name: of its files, without ending.
        title: heading.
        caption: what is drawn, of how many runs and seeds.
        alt: what one would say on the telephone.
        svg: the figure without its caption.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str = ""


Drawing = Callable[[Sequence[Group]], "tuple[Any, Picture] | None"]
"""Draws a figure of the groups; None where there is nothing to draw."""


def draw_all(
    groups: Sequence[Group], folder: Path, common: str, more: Sequence[Drawing] = ()
) -> list[Picture]:
    """Draw whatever the runs give, each as PNG and SVG.

    Args:
        groups: of the report.
        folder: gets the files; exists.
        common: the configuration that all share, for the captions.
        more: drawings of other modules.
    """
    draw: list[Drawing] = [
        accuracy_curves,
        final_accuracy,
        warm_start_timeline,
        conductances,
        writes,
        cost,
        *more,
    ]
    pictures = []
    for make in draw:
        if (drawn := make(groups)) is not None:
            figure, picture = drawn
            picture = replace(
                picture, caption=f"{picture.caption} {common}".rstrip(), svg=to_svg(figure)
            )
            targets = [folder / f"{picture.name}.png", folder / f"{picture.name}.svg"]
            save(figure, targets, picture.caption)
            pictures.append(picture)
    return pictures


def count_text(groups: Sequence[Group]) -> str:
    """E.g. ``n = 2 runs a configuration, seeds 1, 2.``"""
    sizes = sorted({len(group.runs) for group in groups})
    n = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    plural = "run" if sizes == [1] else "runs"
    all_seeds = seeds([run for group in groups for run in group.runs])
    return f"n = {n} {plural} a configuration, seeds {all_seeds}."


def _panels(groups: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    """Few groups in one panel; many in a panel for each value of the first key."""
    if len(groups) <= len(COLOURS) or not groups[0].keys:
        return [("", list(groups))]
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.values[0], []).append(group)
    name = groups[0].keys[0].rpartition(".")[2]
    if name == "name":
        return list(found.items())
    return [(f"{name} = {value}", members) for value, members in found.items()]


def _grid(n: int) -> tuple[int, int]:
    columns = min(n, 2 if n in (2, 4) else 3)
    return columns, math.ceil(n / columns)


def _in_panel(group: Group, title: str) -> str:
    """The group's label without what the title of its panel says."""
    if not title:
        return group.label
    return group.label.partition(", ")[2] or group.label


def accuracy_curves(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Test accuracy by epoch: mean and standard deviation over seeds."""
    groups = [group for group in groups if any(run.metrics for run in group.runs)]
    if not groups:
        return None
    panels = _panels(groups)[:_MAX_PANELS]
    columns, rows = _grid(len(panels))
    size = (10.0 if columns > 1 else 7.2, 4.4 if rows == 1 else 3.2 * rows)
    figure, axes = make_axes(columns, rows, size, share=True)
    for axis, (title, members) in zip(axes, panels, strict=False):
        palette = colours(len(members))
        for i, group in enumerate(members):
            frame = _by_epoch(group, "test/accuracy")
            mean, spread = 100 * frame.mean(axis=1), 100 * frame.std(axis=1)
            axis.plot(
                mean.index,
                mean,
                color=palette[i],
                marker=MARKS[i % len(MARKS)],
                markersize=3.5,
                label=_in_panel(group, title),
            )
            if frame.shape[1] > 1:
                low, high = mean - spread, mean + spread
                axis.fill_between(mean.index, low, high, color=palette[i], alpha=0.18, lw=0)
        axis.set_title(title, fontsize=10, loc="left")
        axis.legend(frameon=False, fontsize=8)
        whole_numbers(axis)
    _tidy(axes, len(panels), columns, "epoch", "test accuracy, %")
    caption = f"Mean over seeds; bands: ± one standard deviation. {count_text(groups)}"
    return figure, Picture(
        "curves", "Accuracy by epoch", caption, "Test accuracy against the epoch, a line each."
    )


def _by_epoch(group: Group, metric: str) -> pd.DataFrame:
    """Epochs in rows, runs in columns."""
    columns = {
        run.name: pd.Series(
            {m["epoch"]: m[metric] for m in run.metrics if m.get(metric) is not None}, dtype=float
        )
        for run in group.runs
        if run.metrics
    }
    return pd.DataFrame(columns).sort_index()


def _tidy(axes: Sequence[Any], used: int, columns: int, x: str, y: str) -> None:
    for i, axis in enumerate(axes):
        axis.set_visible(i < used)
        if i % columns == 0:
            axis.set_ylabel(y)
        axis.set_xlabel(x)


def final_accuracy(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Final accuracy against the key with the most numbers, a line for each of the rest."""
    groups = [group for group in groups if group.finished]
    if len(groups) < 2:
        return None
    key = _axis_key(groups)
    figure, (axis,) = make_axes(1)
    lines: dict[str, list[tuple[Any, Group]]] = {}
    for group in groups:
        if key is None:
            lines.setdefault("", []).append((group.label, group))
            continue
        at = group.keys.index(key)
        parts = group.label.split(", ")
        rest = ", ".join(part for i, part in enumerate(parts) if i != at)
        lines.setdefault(rest, []).append((float(group.values[at]), group))
    if key is None:
        lines = {"": sorted(lines[""], key=lambda item: _mean(item[1]))}
    palette = colours(len(lines))
    for i, (name, points) in enumerate(lines.items()):
        mean = [_mean(group) for _, group in points]
        spread = [_spread(finals(group)) for _, group in points]
        x = [value for value, _ in points]
        style: dict[str, Any] = {"color": palette[i], "capsize": 3}
        if key is None:
            axis.errorbar(mean, x, xerr=spread, fmt=MARKS[i], **style)
            continue
        mark = MARKS[i % len(MARKS)]
        axis.errorbar(x, mean, yerr=spread, marker=mark, label=name or None, **style)
        for value, group in points:
            runs = finals(group)
            axis.scatter([value] * len(runs), runs, s=9, color=palette[i], alpha=0.5, zorder=3)
    if key is None:
        axis.set_xlabel("final test accuracy, %")
    else:
        axis.set_xlabel(key)
        axis.set_ylabel("final test accuracy, %")
        ticks = sorted({value for points in lines.values() for value, _ in points})
        if len(ticks) > 1 and min(ticks) > 0 and max(ticks) / min(ticks) > 20:
            axis.set_xscale("log")
        else:
            axis.set_xticks(ticks)
        if any(lines):
            axis.legend(frameon=False, fontsize=8)
    caption = f"Mean ± standard deviation over seeds; dots: single runs. {count_text(groups)}"
    return figure, Picture(
        "final", "Final accuracy", caption, "Final test accuracy of each configuration."
    )


def _axis_key(groups: Sequence[Group]) -> str | None:
    """The key with the most values, all of them numbers."""
    best, most = None, 1
    for i, key in enumerate(groups[0].keys):
        values = {group.values[i] for group in groups}
        if len(values) > most and all(_number(value) for value in values):
            best, most = key, len(values)
    return best


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def finals(group: Group) -> list[float]:
    """Final test accuracies of a group's finished runs, in per cent."""
    values = (run.last("test/accuracy") for run in group.finished)
    return [100 * value for value in values if value is not None]


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _mean(group: Group) -> float:
    return float(np.mean(finals(group)))


def warm_start_timeline(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Which tile the gradient tile fed, epoch by epoch."""
    rows = [
        (group, run)
        for group in groups
        for run in group.runs
        if run.config.get("warm_start.enabled") and len(run.metrics) > 1
    ][:_MAX_BARS]
    if not rows:
        return None
    stages = sorted(
        {m["warm_start/stage"] for _, run in rows for m in run.metrics[1:]}, key=_stage_order
    )
    palette = dict(zip(stages, ordered_colours(len(stages)), strict=True))
    figure, (axis,) = make_axes(1, size=(8.0, 1.4 + 0.26 * len(rows)))
    for y, (_, run) in enumerate(rows):
        for metrics in run.metrics[1:]:
            stage = metrics["warm_start/stage"]
            axis.barh(y, 1, left=metrics["epoch"] - 1, color=palette[stage], height=0.8)
    axis.set_yticks(range(len(rows)), [f"{g.label}, seed {r.seed}" for g, r in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("epoch")
    whole_numbers(axis)
    handles = [
        axis.barh(0, 0, color=palette[stage], label="chain" if stage == "chain" else f"k = {stage}")
        for stage in stages
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=8, frameon=False, fontsize=8)
    caption = (
        f"Target device k of the warm start, then the chain. {count_text([g for g, _ in rows])}"
    )
    return figure, Picture(
        "warm_start", "Warm start", caption, "The stage of the warm start in each epoch."
    )


def _stage_order(stage: Any) -> tuple[int, int]:
    """Targets from the most significant down, the chain last."""
    return (1, 0) if stage == "chain" else (0, -int(stage))


def conductances(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Histograms of the weights of every device, all layers together, one run a configuration."""
    found = []
    for group in groups:
        for run in group.finished:
            weights = _device_weights(run)
            if weights:
                found.append((group, run, weights))
                break
        if len(found) == _MAX_PANELS:
            break
    if not found:
        return None
    columns, rows = _grid(len(found))
    figure, axes = make_axes(columns, rows, (10.0 if columns > 1 else 7.2, 3.0 * rows + 0.6))
    for axis, (group, _, weights) in zip(axes, found, strict=False):
        palette = ordered_colours(len(weights))
        edges = np.linspace(*_range(weights), 61)
        for colour, (device, values) in zip(palette, sorted(weights.items()), strict=True):
            shares = np.histogram(values, edges)[0] / values.size
            axis.stairs(shares, edges, color=colour, label=f"device {device}")
        axis.set_yscale("log")
        axis.set_title(group.label, fontsize=9, loc="left")
        axis.legend(frameon=False, fontsize=6.5, ncols=2)
    _tidy(axes, len(found), columns, "weight of a cross-point", "share")
    used = sorted({str(run.seed) for _, run, _ in found})
    caption = (
        "Weights of each device at the end, all layers; device 0 is the gradient tile. "
        f"n = 1 run a configuration, seed {', '.join(used)}."
    )
    return figure, Picture(
        "conductances", "Conductances", caption, "Histograms of the weights of every device."
    )


def _device_weights(run: Run) -> Mapping[int, np.ndarray]:
    """Weights of the newest checkpoint by device, all tiles in one; empty where there are none."""
    from safetensors import SafetensorError

    files = sorted((run.path / "checkpoints").glob("epoch*.safetensors"))
    try:
        return _read_weights(files[-1], _n_devices(run.metrics[-1])) if files else {}
    except (OSError, SafetensorError, ValueError):
        return {}  # a damaged checkpoint; the run itself says so when it is continued


def _n_devices(metrics: Mapping[str, Any]) -> int:
    devices = [
        int(name.split("/")[-2].removeprefix("device"))
        for name in metrics
        if name.startswith("tiles/")
    ]
    return 1 + max(devices, default=0)


def _read_weights(path: Path, n_devices: int) -> Mapping[int, np.ndarray]:
    from safetensors import safe_open

    found: dict[int, list[np.ndarray]] = {}
    with safe_open(path, "np") as tensors:
        matches = [m for name in tensors.keys() if (m := _TILE.fullmatch(name))]  # noqa: SIM118
        stored = Counter(match[1] for match in matches if match[2] is not None)
        for match in matches:
            # The tile's own weights are those of its last device, unless all devices are stored:
            # then they are the weighted sum.
            device = stored[match[1]] if match[2] is None else int(match[2])
            if device < n_devices:
                found.setdefault(device, []).append(tensors.get_tensor(match[0]).ravel())
    return {device: np.concatenate(parts) for device, parts in found.items()}


def _range(weights: Mapping[int, np.ndarray]) -> tuple[float, float]:
    largest = max(float(np.abs(values).max(initial=0.0)) for values in weights.values()) or 1.0
    return -largest, largest


def writes(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Pulses written to each device, all layers together."""
    drawn = []
    for group in groups:
        sums = [s for run in group.finished if (s := _pulses(run.metrics[-1]))]
        if sums:
            drawn.append((group, pd.DataFrame(sums)))
    if not drawn:
        return None
    figure, (axis,) = make_axes(1)
    palette = colours(len(drawn))
    for i, (group, frame) in enumerate(drawn):
        mean = frame.mean()
        axis.plot(
            mean.index,
            mean.where(mean > 0),
            color=palette[i],
            marker=MARKS[i % len(MARKS)],
            markersize=5,
            label=group.label,
        )
    axis.set_yscale("log")
    axis.set_xlabel("device (0 = gradient tile)")
    axis.set_ylabel("pulses written, all layers")
    whole_numbers(axis)
    axis.legend(frameon=False, fontsize=7, ncols=1 + len(drawn) // 12)
    caption = (
        f"Pulses over the whole training, mean over seeds. {count_text([g for g, _ in drawn])}"
    )
    return figure, Picture("writes", "Writes", caption, "Pulses written to each device.")


def _pulses(metrics: Mapping[str, Any]) -> dict[int, float]:
    sums: dict[int, float] = {}
    for name, value in metrics.items():
        if name.startswith("tiles/") and name.endswith("/pulses") and value is not None:
            device = int(name.split("/")[-2].removeprefix("device"))
            sums[device] = sums.get(device, 0.0) + value
    return sums


def cost(groups: Sequence[Group]) -> tuple[Any, Picture] | None:
    """Seconds of an epoch and memory of the process."""
    drawn = [group for group in groups if group.finished][:_MAX_BARS]
    if not drawn:
        return None
    figure, (left, right) = make_axes(2, size=(10.0, 1.6 + 0.28 * len(drawn)))
    for axis, head, values in (
        (left, "s an epoch", [_times(group) for group in drawn]),
        (right, "peak memory, MB", [_memory(group) for group in drawn]),
    ):
        means = [float(np.mean(v)) if v else 0.0 for v in values]
        spread = [_spread(v) for v in values]
        axis.barh(range(len(drawn)), means, xerr=spread, color=COLOURS[5], ecolor="0.3")
        axis.set_xlabel(head)
        axis.invert_yaxis()
    left.set_yticks(range(len(drawn)), [group.label for group in drawn], fontsize=8)
    right.set_yticks([])
    caption = f"Mean ± standard deviation over runs. {count_text(drawn)}"
    return figure, Picture(
        "cost", "Time and memory", caption, "Time of an epoch and peak memory, a bar each."
    )


def _times(group: Group) -> list[float]:
    return [
        float(np.mean(times))
        for run in group.finished
        if (times := [m["time/epoch_s"] for m in run.metrics[1:] if m.get("time/epoch_s")])
    ]


def _memory(group: Group) -> list[float]:
    values = (run.summary.get("peak_memory_mb") for run in group.finished)
    return [float(value) for value in values if value is not None]
