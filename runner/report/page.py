"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from runner.report.figures import Picture

_WIDE = ("what happened", "values (runs)")
_DIGITS = {
    "test accuracy, %": 2,
    "validation accuracy, %": 2,
    "test accuracy at best validation, %": 2,
    "sd": 2,
    "min": 2,
    "max": 2,
    "train loss": 4,
    "s an epoch": 2,
    "time, s": 1,
    "peak memory, MB": 0,
    "pulses": 0,
    "transfers": 0,
    "share at a bound": 4,
    "mean |weight|": 4,
}


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        id: for links.
        title: heading.
        note: what one must know to read it.
        pictures: figures.
        frames: tables.
    """

    id: str
    title: str
    note: str = ""
    pictures: Sequence[Picture] = ()
    frames: Sequence[pd.DataFrame] = ()


def render(
    title: str,
    subtitle: str,
    counts: Sequence[tuple[str, int, bool]],
    sections: Sequence[Section],
    footer: str,
) -> str:
    """The page as a text.

    Args:
        title, subtitle: at the top.
        counts: ``(state, number of runs, whether that is bad)``.
        sections: parts in their order.
        footer: last line.
    """
    environment = Environment(
        loader=PackageLoader("runner.report"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.j2").render(
        title=title,
        subtitle=subtitle,
        counts=counts,
        sections=[_section(section) for section in sections],
        footer=footer,
    )


def _section(section: Section) -> dict[str, object]:
    return {
        "id": section.id,
        "title": section.title,
        "note": section.note,
        "figures": [
            {"alt": p.alt, "caption": p.caption, "source": _data(p.svg)} for p in section.pictures
        ],
        "tables": [_table(frame) for frame in section.frames],
    }


def _data(svg: str) -> str:
    content = base64.b64encode(svg.encode()).decode()
    return f"data:image/svg+xml;base64,{content}"


def _table(frame: pd.DataFrame) -> dict[str, object]:
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns}
    return {
        "heads": [{"text": name, "number": numeric[name]} for name in frame.columns],
        "rows": [
            [
                {
                    "text": format_cell(name, row[i]),
                    "style": "number" if numeric[name] else "wide" if name in _WIDE else "",
                }
                for i, name in enumerate(frame.columns)
            ]
            for row in frame.itertuples(index=False)
        ],
    }


def format_cell(column: str, value: object) -> str:
    """A value of a table as people read it; empty for none."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.{_DIGITS.get(column, 4)}f}".replace(",", "\u202f")
    return str(value)
