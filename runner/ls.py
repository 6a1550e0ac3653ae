"""``python -m runner.ls FOLDER...``: the runs below some folders, as a table in the terminal."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.config.errors import one_line
from runner.errors import UserError

_STYLES = {"finished": "green", "running": "bold", "interrupted": "yellow", "unfinished": "yellow"}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Args:
        argv: arguments; None = those of the process.

    Returns:
        exit status: 0 done, 2 the user's mistake.
    """
    parser = argparse.ArgumentParser(prog="python -m runner.ls", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", default=[Path("runs")])
    args = parser.parse_args(argv)
    try:
        from runner.report.collect import find_runs

        runs = find_runs(args.folders)
    except UserError as error:
        print(f"ls: {one_line(str(error))}", file=sys.stderr)
        return 2
    from runner.report.page import format_cell
    from runner.report.tables import runs_table

    frame = runs_table(runs).drop(columns=["commit"], errors="ignore")
    table = Table(box=None, pad_edge=False)
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "if" or name in ("epoch", "of")
        short = name.rpartition(".")[2] if not name.endswith(".name") else name.split(".")[0]
        table.add_column(short, justify="right" if numeric else "left", no_wrap=name != "run")
    for row in frame.itertuples(index=False):
        cells = [format_cell(name, row[i]) for i, name in enumerate(frame.columns)]
        state = frame.columns.get_loc("state")
        assert isinstance(state, int)
        styled: list[str | Text] = list(cells)
        styled[state] = Text(cells[state], style=_STYLES.get(cells[state], "red"))
        table.add_row(*styled)
    console = Console()
    if not console.is_terminal:
        console.width = 240  # a file or a pipe has no edge
    console.print(table)
    for run in runs:
        if run.message and run.state != "finished":
            console.print(f"{run.name}: {run.message}", markup=False, highlight=False)
    counts = Counter(run.state for run in runs).most_common()
    console.print(f"{len(runs)} runs: {', '.join(f'{n} {state}' for state, n in counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
