"""Show that the launchers give the same results, whatever happens to their jobs.

    python scripts/launchers.py grid       # six runs through basic, joblib, Slurm and Ray
    python scripts/launchers.py preempt    # a preempted job of Slurm, against an undisturbed run
    python scripts/launchers.py search     # a search killed and continued, against one left alone

Each prints what it measured and exits with 1 where something differs. Slurm is a node of
`scripts/slurm_node.py` (root, slurm-wlm, munge); the runs are LeNet-5 on mnist5k.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from slurm_node import SlurmNode

from runner.tracking import read_metrics
from runner.training.checkpoint import CheckpointStore

GRID = ("data=mnist5k", "data.train_limit=400", "run.epochs=2", "algorithm=resl,ttv2,sgd")
SEEDS = "run.seed=1,2"
ONE = ("data=mnist5k", "data.train_limit=1000", "run.epochs=12", "run.seed=1")
SEARCH = (
    "sweep=search",
    "data.train_limit=500",
    "run.epochs=2",
    "hydra.sweeper.n_trials=12",
    "hydra/launcher=joblib",
)


class Commands:
    """Starts the runner in a folder, with a Slurm at hand."""

    def __init__(self, cwd: Path, node: SlurmNode | None) -> None:
        self.cwd = cwd
        self.node = node
        self._env = os.environ if node is None else node.env

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        """Start a grid, with its words in ``log``."""
        with (self.cwd / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "runner", "-m", *overrides],
                cwd=self.cwd,
                env=self._env,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def run(self, *overrides: str) -> float:
        """Run a grid to its end.

        Returns:
            seconds it took.
        """
        started = time.monotonic()
        status = self.start(*overrides).wait()
        if status != 0:
            raise SystemExit(f"exit status {status}: {(self.cwd / 'log').read_text()[-2000:]}")
        return time.monotonic() - started

    def metrics(self, sweep_dir: str) -> dict[str, list[dict[str, Any]]]:
        """Metrics without times, by the name of the run folder."""
        return {
            path.parent.name: [
                {k: v for k, v in line.items() if not k.startswith("time/")}
                for line in read_metrics(path)
            ]
            for path in sorted((self.cwd / sweep_dir).glob("*/metrics.jsonl"))
        }

    def summaries(self, sweep_dir: str) -> list[dict[str, Any]]:
        """Every summary.json, in the order of the folders' names."""
        paths = sorted((self.cwd / sweep_dir).glob("*/summary.json"))
        return [json.loads(path.read_text()) for path in paths]

    def tensors(self, sweep_dir: str) -> dict[str, torch.Tensor]:
        """The newest checkpoint's tensors of every run."""
        found = {}
        for folder in (self.cwd / sweep_dir).glob("*/checkpoints"):
            loaded, _ = CheckpointStore(folder, keep=1).newest()
            assert loaded is not None
            found |= {f"{folder.parent.name} {k}": v for k, v in loaded.tensors.items()}
        return found

    def same(self, one: str, other: str) -> bool:
        """Whether two grids have the same metrics and the same bits in their checkpoints."""
        a, b = self.tensors(one), self.tensors(other)
        bits = a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
        return bits and bool(a) and self.metrics(one) == self.metrics(other)


def grid(commands: Commands) -> bool:
    """Six runs through four launchers."""
    good = True
    for launcher in ("basic", "joblib", "slurm", "ray"):
        seconds = commands.run(*GRID, SEEDS, f"hydra/launcher={launcher}", f"sweep.dir={launcher}")
        same = commands.same("basic", launcher)
        good &= same and len(commands.summaries(launcher)) == 6
        print(f"{launcher}: 6 runs, {seconds:.1f} s, as from basic: {same}")
        for summary in commands.summaries(launcher):
            if launcher in ("slurm", "ray"):
                print("   ", json.dumps(summary["place"]))
    return good


def preempt(commands: Commands) -> bool:
    """One run, put back into the queue twice by jobs of the other partition."""
    assert commands.node is not None
    commands.run(*ONE, "sweep.dir=undisturbed")
    process = commands.start(*ONE, "hydra/launcher=slurm", "sweep.dir=preempted")
    for epoch in (3, 8):
        _wait(lambda epoch=epoch: _epoch(commands, "preempted") >= epoch, process)
        words = ("--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        print("urgent job:", commands.node.command("sbatch", *words).strip())
    if process.wait() != 0:
        raise SystemExit((commands.cwd / "log").read_text()[-2000:])
    (summary,) = commands.summaries("preempted")
    same = commands.same("undisturbed", "preempted")
    print(f"{summary['epochs']} epochs, {json.dumps(summary['place'])}")
    print(f"metrics and checkpoint as of the undisturbed run: {same}")
    return same and summary["place"]["slurm_restarts"] == 2


def search(commands: Commands) -> bool:
    """A dozen trials, killed with ``kill -9`` twice, and the same search left alone."""
    for trials in (3, 8):
        process = commands.start(*SEARCH, "sweep.dir=killed")
        _wait(lambda n=trials: len(commands.metrics("killed")) > n, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = [s for s in commands.summaries("killed") if s["status"] == "finished"]
        print(f"killed with {len(done)} trials finished")
    commands.run(*SEARCH, "sweep.dir=killed")
    seconds = commands.run(*SEARCH, "sweep.dir=undisturbed")
    one, other = (_study(commands.cwd / name) for name in ("killed", "undisturbed"))
    same = one == other and commands.metrics("killed") == commands.metrics("undisturbed")
    print(f"{len(one['trials'])} trials, {seconds:.1f} s undisturbed; the same trials: {same}")
    print(yaml.safe_dump(one["best"], sort_keys=False))
    return same and len(one["trials"]) == 12


def _study(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("search-*.yaml")
    study = yaml.safe_load(path.read_text())
    for trial in [study["best"], *study["trials"]]:
        trial["run_dir"] = Path(trial["run_dir"]).name
    return study


def _epoch(commands: Commands, sweep_dir: str) -> int:
    lines = [line for found in commands.metrics(sweep_dir).values() for line in found]
    return max((line["epoch"] for line in lines), default=0)


def _wait(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        if process.poll() is not None:
            raise SystemExit("the command ended before it could be disturbed")
        time.sleep(0.05)


def main() -> int:
    """The command.

    Returns:
        exit status: 0, or 1 where something differs.
    """
    what: dict[str, Callable[[Commands], bool]] = {
        "grid": grid,
        "preempt": preempt,
        "search": search,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=list(what))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "search":
            return 0 if search(Commands(Path(folder), None)) else 1
        with SlurmNode(Path(folder) / "slurm", len(os.sched_getaffinity(0))) as node:
            return 0 if what[args.what](Commands(Path(folder), node)) else 1


if __name__ == "__main__":
    sys.exit(main())
