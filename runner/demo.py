"""``python -m runner.demo``: LeNet-5 trained three ways on real digits, compared in a picture.

Digital, fully analog by residual learning, and the same with warm start, each a run like any
other in a child process, two at a time where there are two cores. Runs that are finished already
are not trained again, and interrupted ones go on.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from runner.config import Config, load_config, run_slug
from runner.config.errors import one_line
from runner.errors import UserError
from runner.threads import cores
from runner.tracking.jsonl import read_metrics
from runner.tracking.run_folder import read_summary
from runner.training.resume import finished_before

_POLL_S = 0.25

EXPERIMENTS = {
    # The long ones first, so that two cores are busy to the end.
    "warm_start": ("lenet5_demo_warm_start", "analog, warm start"),
    "chain": ("lenet5_demo_chain", "analog, chain"),
    "digital": ("lenet5_demo_digital", "digital"),
}
"""Short name -> preset and label."""


@dataclass
class DemoRun:
    """One of the three runs.

    Args:
        label: name for people.
        overrides: command line of the run.
        cfg: what the overrides give.
        run_dir: its folder.
        process: the child, while or after it trains; None before, and if it was finished already.
        complaint: last line that a child which failed said on standard error.
        started: when the child was started, time.monotonic().
    """

    label: str
    overrides: list[str]
    cfg: Config
    run_dir: Path
    process: subprocess.Popen[bytes] | None = None
    complaint: str = ""
    started: float = 0.0
    shown: int = field(default=-1)
    since: int = 0

    def finished_before(self) -> bool:
        """Whether the folder holds this very run, finished."""
        return finished_before(self.cfg) is not None

    def start(self) -> None:
        """Train, or continue, in a child process."""
        self.since = max(self.epoch(), 0)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runner", *self.overrides],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C must reach a child once, from `_stop`: a second signal would end it at once.
            start_new_session=True,
        )

    def metrics(self) -> list[dict[str, Any]]:
        """Lines of metrics.jsonl so far."""
        return read_metrics(self.run_dir / "metrics.jsonl")

    def epoch(self) -> int:
        """Last epoch that is done, -1 before the first line."""
        lines = self.metrics()
        return lines[-1]["epoch"] if lines else -1

    def eta(self, epoch: int) -> str:
        """Time left, from the pace of this sitting; empty before its first epoch is done."""
        done, left = epoch - self.since, self.cfg.run.epochs - epoch
        if done <= 0 or left <= 0:
            return ""
        seconds = (time.monotonic() - self.started) / done * left
        return f"ETA {timedelta(seconds=round(seconds))}"

    def running(self) -> bool:
        """Whether the child is at work; when it has ended, what it said is kept."""
        if self.process is None:
            return False
        if self.process.poll() is None:
            return True
        self.end()
        return False

    def end(self) -> None:
        """Wait for the child."""
        assert self.process is not None
        if self.process.stderr is not None and not self.process.stderr.closed:
            # A child says a line at most, far less than the pipe holds, so it never waits for us.
            _, said = self.process.communicate()
            lines = said.decode(errors="replace").strip().splitlines()
            self.complaint = lines[-1] if lines else f"exit status {self.process.returncode}"


def plan(root: Path, overrides: Sequence[str]) -> list[DemoRun]:
    """The three runs, each in a folder whose name changes with its configuration.

    Raises:
        UserError: for a wrong override.
    """
    runs = []
    for name, (experiment, label) in EXPERIMENTS.items():
        base = [f"experiment={experiment}", f"name={name}", *overrides]
        folder = root / run_slug(load_config(base))
        full = [*base, f"run.dir={folder}"]
        runs.append(DemoRun(label, full, load_config(full), folder))
    return runs


def train(runs: Sequence[DemoRun], console: Console) -> None:
    """Train what is not finished, as many at a time as there are cores, at most two.

    Raises:
        KeyboardInterrupt: after the children have written their checkpoints.
    """
    waiting = [run for run in runs if not run.finished_before()]
    for run in runs:
        if run not in waiting:
            console.print(f"{run.label}: finished earlier, not trained again", highlight=False)
    at_once = min(2, cores())
    active: list[DemoRun] = []
    with _display(waiting, console) as show:
        try:
            while waiting or active:
                while waiting and len(active) < at_once:
                    active.append(waiting.pop(0))
                    active[-1].start()
                time.sleep(_POLL_S)
                for run in active:
                    show(run)
                active = [run for run in active if run.running()]
        finally:
            _stop(active)


def report(runs: Sequence[DemoRun], root: Path, console: Console) -> None:
    """Print the table and the paths, and draw the picture."""
    from runner.report.curves import draw_comparison, read_curve

    # In the order of the story: the reference, the analog one, the remedy.
    told = list(reversed(runs))
    cfg = told[0].cfg
    images = _summary(told[0])["images"]
    picture = root / "curves.png"
    draw_comparison(
        [read_curve(run.run_dir, run.label) for run in told],
        picture,
        "LeNet-5 on real MNIST digits",
        f"{images['train']:,} training and {images['test']:,} test images. Dotted: stages of the "
        "warm start (k = target device).",
    )
    table = Table(title="LeNet-5 on real MNIST digits", title_justify="left")
    table.add_column("run")
    for head in ("accuracy after 1 epoch", f"after {cfg.run.epochs}", "stages", "time"):
        table.add_column(head, justify="right")
    for run in told:
        lines = run.metrics()
        table.add_row(
            run.label,
            _percent(lines[min(1, len(lines) - 1)], images["test"]),
            _percent(lines[-1], images["test"]),
            _stages(run, lines),
            f"{_summary(run)['wall_time_s']:.0f} s",
        )
    console.print(table)
    console.print(
        f"n = 1 run each, seed {cfg.run.seed}; ± is the standard error of {images['test']:,} "
        "test images",
        highlight=False,
        soft_wrap=True,
    )
    for run in told:
        console.print(f"run folder  {run.run_dir}", highlight=False, soft_wrap=True)
    console.print(f"picture     {picture}", highlight=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Args:
        argv: arguments; None = those of the process.

    Returns:
        exit status: 0 done, 1 a run failed, 2 the user's mistake, 130 interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m runner.demo", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path("runs/demo"), help="folder of the runs")
    parser.add_argument("overrides", nargs="*", help="overrides for all three runs")
    args = parser.parse_args(argv)
    console = Console()
    # A plain kill must stop the children as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _demo(args.dir, args.overrides, console)
    except UserError as error:
        print(f"demo: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _demo(root: Path, overrides: Sequence[str], console: Console) -> int:
    runs = plan(root, overrides)
    train(runs, console)
    failed = [run for run in runs if run.process is not None and run.process.returncode != 0]
    for run in failed:
        print(f"demo: {run.label}: {run.complaint}", file=sys.stderr)
    if failed:
        return 1
    report(runs, root, console)
    return 0


@contextlib.contextmanager
def _display(runs: Sequence[DemoRun], console: Console) -> Iterator[Any]:
    """A bar for each run on a terminal, a line for each epoch elsewhere."""
    if not console.is_terminal:

        def line(run: DemoRun) -> None:
            for metrics in run.metrics():
                if metrics["epoch"] > run.shown:
                    run.shown = metrics["epoch"]
                    text = f"{run.label}: epoch {run.shown}/{run.cfg.run.epochs}"
                    text += f"  {_state(metrics)}  {run.eta(run.shown)}"
                    console.print(text.rstrip(), highlight=False, soft_wrap=True)

        yield line
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        console=console,
    )
    tasks: dict[str, TaskID] = {
        run.label: bars.add_task(
            run.label, total=run.cfg.run.epochs, state="waiting", eta="", start=False
        )
        for run in runs
    }

    def bar(run: DemoRun) -> None:
        task, lines = tasks[run.label], run.metrics()
        bars.start_task(task)
        state = _state(lines[-1]) if lines else "loading"
        epoch = max(run.epoch(), 0)
        bars.update(task, completed=epoch, state=state, eta=run.eta(epoch))

    with bars:
        yield bar


def _state(metrics: dict[str, Any]) -> str:
    stage = metrics.get("warm_start/stage", "chain")
    suffix = "" if stage == "chain" else f", stage k = {stage}"
    return f"test accuracy {100 * metrics['test/accuracy']:.1f} %{suffix}"


def _percent(metrics: dict[str, Any], n: int) -> str:
    p = metrics["test/accuracy"]
    return f"{100 * p:.1f} ± {100 * math.sqrt(p * (1 - p) / n):.1f} %"


def _stages(run: DemoRun, lines: Sequence[dict[str, Any]]) -> str:
    if not run.cfg.warm_start.enabled:
        return "-"
    stages = [line["warm_start/stage"] for line in lines[1:]]
    return " → ".join(str(stage) for stage in dict.fromkeys(stages))


def _summary(run: DemoRun) -> dict[str, Any]:
    summary = read_summary(run.run_dir)
    if summary is None:
        raise UserError(f"{run.run_dir}: its summary.json has gone; run the demo again")
    return summary


def _stop(runs: Sequence[DemoRun]) -> None:
    """Ask children that still run to write a checkpoint and end, and wait for them."""
    for run in runs:
        if run.process is not None and run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
    for run in runs:
        if run.process is not None:
            run.end()


if __name__ == "__main__":
    sys.exit(main())
