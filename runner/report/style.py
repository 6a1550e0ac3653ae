"""Colours, axes and files that all pictures share."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Okabe and Ito's palette, which people with any common colour vision can tell apart; the marks
# differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = ("o", "s", "^", "D", "v", "P")


def colours(n: int) -> list[Any]:
    """`n` colours: of the palette while it lasts, else steps of a map made for all eyes."""
    if n <= len(COLOURS):
        return list(COLOURS[:n])
    return ordered_colours(n)


def ordered_colours(n: int) -> list[Any]:
    """`n` colours in an order that can be seen, dark to light (cividis)."""
    from matplotlib import colormaps

    return [colormaps["cividis"](0.92 * i / max(n - 1, 1)) for i in range(n)]


def make_axes(
    columns: int, rows: int = 1, size: tuple[float, float] | None = None, *, share: bool = False
) -> tuple[Any, list[Any]]:
    """A figure and its axes, row by row.

    Args:
        columns, rows: of the grid of axes.
        size: width and height in inches; None = by the number of axes.
        share: whether all axes have one scale.
    """
    from matplotlib.figure import Figure  # a second's work, only needed when drawing

    if size is None:
        size = (7.2 if columns == 1 else 10.0, 4.4 if rows == 1 else 3.0 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel()
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def whole_numbers(axis: Any) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def to_svg(figure: Any) -> str:
    """A figure without a caption, as SVG."""
    with io.BytesIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue().decode()


def save(figure: Any, targets: Sequence[Path], caption: str) -> None:
    """Write a figure with its caption, in the format that each file's name says."""
    figure.supxlabel(caption, fontsize=8, color="0.35", wrap=True)
    for target in targets:
        figure.savefig(target, dpi=150, metadata={"Date": None} if target.suffix == ".svg" else {})
