"""A report of many runs: a page, its pictures and its tables as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from runner.files import write_atomic
from runner.report.collect import Run, differing_keys, find_runs, show
from runner.report.figures import Picture, draw_all
from runner.report.heatmap import breakdown_table, heat_maps
from runner.report.page import Section, render
from runner.report.tables import (
    BAD,
    accuracy_grid,
    differences_table,
    failures_table,
    final_table,
    group_runs,
    runs_table,
    seeds,
    writes_table,
)

_COMMON = ("model.name", "algorithm.name", "data.name", "data.train_limit", "device.n_states")


@dataclass(frozen=True)
class Report:
    """What a report is in files.

    Args:
        page: the HTML file.
        runs: what it is about.
        pictures: PNG files.
        tables: CSV files.
    """

    page: Path
    runs: list[Run]
    pictures: list[Path]
    tables: list[Path]


def make_report(folders: Sequence[Path], out: Path, title: str | None = None) -> Report:
    """Write the report of all runs in or below some folders.

    Args:
        folders: run folders, or folders of them.
        out: folder for ``report.html``, ``figures/`` and ``tables/``; made if needed.
        title: of the page; None = the folders' names.

    Raises:
        UserError: there is no run.
        OSError: a file can not be written.
    """
    runs = find_runs(folders)
    groups = group_runs(runs)
    figures, tables = out / "figures", out / "tables"
    for folder in (figures, tables):
        folder.mkdir(parents=True, exist_ok=True)
    pictures = {p.name: p for p in draw_all(groups, figures, _common(runs), [heat_maps])}
    grid = accuracy_grid(groups)
    frames = {
        "final": final_table(groups),
        "grid": pd.DataFrame() if grid is None else grid,
        "robustness": breakdown_table(groups),
        "failures": failures_table(runs),
        "differences": differences_table(runs),
        "writes": writes_table(groups),
        "runs": runs_table(runs),
    }
    written = []
    for name, frame in frames.items():
        path = tables / f"{name}.csv"
        if frame.empty:
            path.unlink(missing_ok=True)
            continue
        write_atomic(path, frame.to_csv(index=False).encode())
        written.append(path)
    page = render(
        title or ", ".join(folder.resolve().name for folder in folders),
        _subtitle(runs),
        [(state, n, state in BAD) for state, n in Counter(r.state for r in runs).most_common()],
        _sections(pictures, frames),
        f"Written {datetime.now():%Y-%m-%d %H:%M}. Beside it: figures (PNG, SVG), tables (CSV).",
    )
    write_atomic(out / "report.html", page.encode())
    drawn = [figures / f"{name}.png" for name in pictures]
    return Report(out / "report.html", runs, drawn, written)


def _sections(pictures: dict[str, Picture], frames: dict[str, pd.DataFrame]) -> list[Section]:
    """What there is something to say about."""

    def section(
        name: str, title: str, note: str, shown: Sequence[str], listed: Sequence[str]
    ) -> Section:
        return Section(
            name,
            title,
            note,
            [pictures[key] for key in shown if key in pictures],
            [frames[key] for key in listed if not frames[key].empty],
        )

    counted = "Finished runs only; n of them. sd: standard deviation over seeds."
    wanted = [
        section("failures", "Failures", "The same command again continues them.", (), ["failures"]),
        section("final", "Final accuracy", counted, ["final"], ["grid", "final"]),
        section(
            "robustness", "Robustness", "Where each breaks down.", ["robustness"], ["robustness"]
        ),
        section("curves", "Accuracy by epoch", "", ["curves"], ()),
        section("warm-start", "Warm start", "", ["warm_start"], ()),
        section("conductances", "Conductances", "", ["conductances"], ()),
        section("writes", "Writes by tile", "Means over finished runs.", ["writes"], ["writes"]),
        section("cost", "Time and memory", "", ["cost"], ()),
        section(
            "differences", "What differs", "Keys with more than one value.", (), ["differences"]
        ),
        section("runs", "All runs", "", (), ["runs"]),
    ]
    return [part for part in wanted if part.pictures or part.frames]


def _subtitle(runs: Sequence[Run]) -> str:
    commits = sorted({str(c)[:12] for run in runs if (c := run.summary.get("git_commit"))})
    machines = sorted({m["cpu"] for run in runs if (m := run.summary.get("machine"))})
    parts = [f"{len(runs)} runs", f"seeds {seeds(runs)}"]
    if commits:
        parts.append(f"commit {', '.join(commits)}")
    return " · ".join([*parts, *machines])


def _common(runs: Sequence[Run]) -> str:
    """What all runs share, as far as it is worth a caption."""
    different = set(differing_keys(runs))
    config = next((run.config for run in runs if run.config), {})
    parts = [
        f"{key.removesuffix('.name')}={show(config[key])}"
        for key in _COMMON
        if key in config and key not in different and config[key] is not None
    ]
    return f"All: {', '.join(parts)}." if parts else ""
