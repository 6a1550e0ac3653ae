"""Curves of one run, or of several in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runner.report.style import COLOURS, MARKS, make_axes, save, whole_numbers
from runner.tracking.jsonl import read_metrics


@dataclass(frozen=True)
class Curve:
    """What is drawn of one run.

    Args:
        label: name in the legend.
        epochs: numbers of the epochs, from 0.
        accuracy: test accuracy after each, 0 to 1.
        stages: ``(first epoch, stage)`` of each stage of a warm start, in order; the stage is
            the index of the target device or "chain".
        seed: of the run.
    """

    label: str
    epochs: list[int]
    accuracy: list[float]
    stages: list[tuple[int, int | str]]
    seed: int


def read_curve(run_dir: Path, label: str | None = None) -> Curve:
    """Read the curve of a run folder.

    Raises:
        ValueError: the folder holds no metrics.
    """
    lines = read_metrics(run_dir / "metrics.jsonl")
    if not lines:
        raise ValueError(f"{run_dir} holds no metrics")
    config = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    return Curve(
        label=label or config.get("name") or config["algorithm"]["name"],
        epochs=[line["epoch"] for line in lines],
        accuracy=[line["test/accuracy"] for line in lines],
        stages=_stages(lines) if config["warm_start"]["enabled"] else [],
        seed=config["run"]["seed"],
    )


def draw_run(run_dir: Path, target: Path) -> None:
    """Draw loss and accuracy of one run into a picture file.

    Raises:
        ValueError: the folder holds no metrics.
    """
    curve = read_curve(run_dir)
    lines = read_metrics(run_dir / "metrics.jsonl")
    figure, (left, right) = make_axes(2)
    names = ("train", "val", "test")
    for axis, kind, scale in ((left, "loss", 1.0), (right, "accuracy", 100.0)):
        for i, name in enumerate(names):
            points = [(m["epoch"], m[f"{name}/{kind}"]) for m in lines if f"{name}/{kind}" in m]
            if points:
                x, y = zip(*points, strict=True)
                axis.plot(
                    x,
                    [scale * v for v in y],
                    color=COLOURS[i],
                    marker=MARKS[i],
                    markersize=4,
                    label=name,
                )
        _mark_stages(axis, curve, "0.4")
        axis.set_xlabel("epoch")
        whole_numbers(axis)
    left.set_ylabel("loss (negative log-likelihood)")
    right.set_ylabel("accuracy, %")
    left.legend(frameon=False)
    save(figure, [target], f"{run_dir.name}\nn = 1 run, seed {curve.seed}")


def draw_comparison(curves: Sequence[Curve], target: Path, title: str, note: str = "") -> None:
    """Draw the test accuracy of several runs into a picture file.

    Args:
        curves: at least one.
        target: picture file; its folder exists.
        title: above the picture.
        note: further text of the caption, beside the number of runs and their seeds.
    """
    figure, (axis,) = make_axes(1)
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(
            curve.epochs,
            [100 * value for value in curve.accuracy],
            color=colour,
            marker=MARKS[i % len(MARKS)],
            markersize=5,
            label=f"{curve.label}: {100 * curve.accuracy[-1]:.1f} %",
        )
        _mark_stages(axis, curve, colour)
    axis.set_xlabel("epoch")
    whole_numbers(axis)
    axis.set_ylabel("test accuracy, %")
    axis.set_ylim(0, 102)
    axis.set_title(title, fontsize=11, loc="left")
    figure.legend(frameon=False, loc="outside upper left", ncols=3, fontsize=9)
    seeds = sorted({curve.seed for curve in curves})
    caption = f"n = 1 run a curve, seed {', '.join(map(str, seeds))}."
    save(figure, [target], f"{caption} {note}".strip())


def _stages(lines: Sequence[dict[str, Any]]) -> list[tuple[int, int | str]]:
    """The untrained network of epoch 0 belongs to no stage."""
    stages: list[tuple[int, int | str]] = []
    for line in lines:
        stage = line["warm_start/stage"]
        if line["epoch"] > 0 and (not stages or stages[-1][1] != stage):
            stages.append((line["epoch"], stage))
    return stages


def _mark_stages(axis: Any, curve: Curve, colour: str) -> None:
    """A stage that begins with epoch e is entered when epoch e - 1 is over."""
    for epoch, stage in curve.stages:
        axis.axvline(epoch - 1, color=colour, linewidth=0.9, linestyle=":")
        axis.annotate(
            "chain" if stage == "chain" else f"k = {stage}",
            (epoch - 1, 0.01),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            va="bottom",
            fontsize=8,
            color=colour,
        )
