"""``python -m runner.report FOLDER...``: a page of everything in some folders of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.config.errors import one_line
from runner.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Args:
        argv: arguments; None = those of the process.

    Returns:
        exit status: 0 done, 2 the user's mistake.
    """
    parser = argparse.ArgumentParser(prog="python -m runner.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--out", type=Path, help="where the report goes; default: FOLDER/report of the first one"
    )
    parser.add_argument("--title", help="of the page; default: the folders' names")
    args = parser.parse_args(argv)
    try:
        from runner.report.make import make_report

        report = make_report(args.folders, args.out or args.folders[0] / "report", args.title)
    except UserError as error:
        print(f"report: {one_line(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"report: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{len(report.runs)} runs")
    for path in (report.page, *report.pictures, *report.tables):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
