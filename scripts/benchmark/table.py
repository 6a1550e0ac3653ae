"""What the benchmark found, as a table and a picture."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.subjects import ANALOG
from benchmark.timing import Limits, Times, paired_ratio
from device_ext import _core
from runner.provenance import git_commit, machine, versions

COLUMNS = (*ANALOG, "digital")


@dataclass
class Row:
    """One line of the table; times in seconds."""

    group: str
    name: str
    times: dict[str, Times]
    floor_s: float | None = None
    pulses: int | None = None
    ratio: tuple[str, str] = ("stock", "fast")
    goal: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def table(rows: list[Row], limits: Limits, quick: bool) -> str:
    """The results in Markdown."""
    about = machine()
    made = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    lines = [
        "# Benchmarks",
        "",
        f"`python scripts/bench.py{' --quick' if quick else ''}`, {made}, commit {git_commit()}, "
        f"{about['cpu']}, {os.cpu_count()} cores, {_core.kernels()} kernels, "
        f"torch {versions()['torch']}, aihwkit {versions()['aihwkit']}.",
        "",
        "Milliseconds: median (first to third quartile) of rounds in which the subjects take turns "
        "in one process; ratios are medians over the rounds where subjects share them. *stock*: "
        "aihwkit as it comes; *exact*: its pulse path on our tiles, reduced once a mini-batch; "
        "*fast*: the pulse engine; *digital*: torch's layer of the same size. *Least*: what the "
        f"drawn lines ({limits.draw_s * 1e9:.2f} ns each here) and the moved bytes "
        f"({1e-9 / limits.byte_s:.1f} GB/s) must cost.",
    ]
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        names = list(dict.fromkeys(n for row in members for n in (*row.times, *row.extra)))
        lines += ["", f"## {group}", "", _line("", *names, "least", "pulses", "ratio", "goal")]
        lines.append("|---" * (len(names) + 5) + "|")
        for row in members:
            cells = [_cell(row, name) for name in names]
            least = "" if row.floor_s is None else f"{row.floor_s * 1e3:.2f}"
            pulses = "" if row.pulses is None else f"{row.pulses:,}"
            lines.append(_line(row.name, *cells, least, pulses, ratio_text(row), row.goal))
    return "\n".join([*lines, "", "![](images/benchmarks.png)", ""])


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: Row, name: str) -> str:
    if name in row.extra:
        return f"{row.extra[name]:.0f}"
    if name not in row.times:
        return ""
    low, high = row.times[name].quartiles
    return f"{row.times[name].median * 1e3:.3g} ({low * 1e3:.3g}-{high * 1e3:.3g})"


def ratio(row: Row) -> float | None:
    """How many times longer the first of `row.ratio` takes than the second."""
    over, under = row.ratio
    if over not in row.times or under not in row.times:
        return None
    first, second = row.times[over], row.times[under]
    if len(first.seconds) == len(second.seconds):
        return paired_ratio(first, second)
    return first.median / second.median


def ratio_text(row: Row) -> str:
    """`ratio` in words."""
    found = ratio(row)
    return "" if found is None else f"{row.ratio[0]} / {row.ratio[1]} = {found:.3g}"


def picture(rows: list[Row], path: Path) -> None:
    """Times of every subject of the rows that have all four, as bars."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    full = [row for row in rows if set(COLUMNS) <= set(row.times)]
    if not full:
        return
    figure, axes = plt.subplots(figsize=(8, 0.75 * len(full) + 1.2), layout="constrained")
    for i, (name, colour) in enumerate(
        zip(COLUMNS, ("#D55E00", "#E69F00", "#0072B2", "#999999"), strict=True)
    ):
        places = [n + 0.2 * (i - 1.5) for n in range(len(full))]
        values = [1e3 * row.times[name].median for row in full]
        axes.barh(places, values, height=0.18, color=colour, label=name)
    names = [row.name if "→" in row.name else f"LeNet-5, {row.name}" for row in full]
    axes.set_yticks(range(len(full)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds, median, one thread")
    axes.legend(loc="upper right")
    axes.set_title(f"{machine()['cpu']}, commit {(git_commit() or '?')[:10]}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
