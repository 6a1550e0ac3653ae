"""``python -m runner.evaluate RUN``: test a run's checkpoint again."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from runner.config.errors import ConfigError, one_line
from runner.errors import UserError
from runner.stored import build, read_run, with_overrides
from runner.tracking import read_metrics


@dataclass(frozen=True)
class Evaluation:
    """Results of repeated tests of one checkpoint.

    Args:
        checkpoint: the file.
        epoch: epochs finished there.
        images: test images.
        losses, accuracies: one entry a repeat.
        logged: test accuracy of that epoch in the run's metrics; None within an epoch, or on other
            data or input-output.
    """

    checkpoint: str
    epoch: int
    images: int
    losses: list[float]
    accuracies: list[float]
    logged: float | None


def evaluate_run(
    folder: Path, overrides: Sequence[str] = (), n: int = 1, which: str = "newest"
) -> Evaluation:
    """Test a run's checkpoint.

    With perfect input-output every repeat gives what the run logged, to the last digit. With noise
    each repeat draws anew; the same call gives the same draws.

    Args:
        folder: the run folder; nothing is written.
        overrides: of ``data`` and ``io``, as on the command line.
        n: repeats, at least 1.
        which: ``newest`` or ``best`` checkpoint.

    Raises:
        UserError: there is nothing to test, or an override is wrong.
    """
    if n < 1:
        raise ConfigError("n", n, "must be at least 1", "1")
    run = read_run(folder, which)
    config = with_overrides(run.config, overrides)
    from runner.data import load_data
    from runner.training.evaluate import evaluate
    from runner.training.seeding import deterministic

    data = load_data(config.data)
    with deterministic(config.run.seed, config.run.threads):
        model = build(run, config, data)
        scores = [evaluate(model, data.test, config.data.test_batch_size) for _ in range(n)]
    logged = None
    if not run.mid_epoch and not overrides:
        lines = {line["epoch"]: line for line in read_metrics(folder / "metrics.jsonl")}
        logged = lines.get(run.epoch, {}).get("test/accuracy")
    return Evaluation(
        str(run.loaded.path),
        run.epoch,
        len(data.test),
        [score.loss for score in scores],
        [score.accuracy for score in scores],
        logged,
    )


def _print(found: Evaluation, console: Console) -> None:
    table = Table(
        "", "test loss", "test accuracy", title=f"{found.checkpoint}, epoch {found.epoch}"
    )
    losses, accuracies = found.losses, found.accuracies
    if len(losses) == 1:
        table.add_row("once", f"{losses[0]:.6f}", f"{100 * accuracies[0]:.4f} %")
    else:
        table.add_row(
            f"mean of {len(losses)}",
            f"{statistics.mean(losses):.6f}",
            f"{100 * statistics.mean(accuracies):.4f} %",
        )
        table.add_row(
            "standard deviation",
            f"{statistics.stdev(losses):.6f}",
            f"{100 * statistics.stdev(accuracies):.4f} %",
        )
    if found.logged is not None:
        table.add_row("logged", "", f"{100 * found.logged:.4f} %")
    console.print(table)
    console.print(f"{found.images} test images")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 done, 2 the user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.evaluate", description=(__doc__ or "").strip()
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("options", nargs="*", help="data=..., io=..., n=..., checkpoint=best")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    given = dict(text.partition("=")[::2] for text in args.options)
    try:
        n, which = given.pop("n", "1"), given.pop("checkpoint", "newest")
        if not n.isdecimal():
            raise ConfigError("n", n, "must be a whole number of at least 1")
        found = evaluate_run(args.run, [f"{k}={v}" for k, v in given.items()], int(n), which)
    except UserError as error:
        print(f"warmtile: {one_line(str(error))}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(asdict(found)))
    else:
        _print(found, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
