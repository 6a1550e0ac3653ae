"""Train LeNet-5 on mnist5k with every algorithm, and print the table of docs/algorithms.md.

    python scripts/algorithms.py --out build/algorithms

A run that is finished is not repeated. Every run is one thread, seed 1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMON = ("model=lenet5", "data=mnist5k", "io=perfect", "run.seed=1", "run.threads=1")
CHANCE = 0.1


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Args:
        algorithm: name of the algorithm.
        overrides: beside the common ones.
        remark: what to know about it.
    """

    algorithm: str
    overrides: tuple[str, ...]
    remark: str = ""

    @property
    def arguments(self) -> list[str]:
        """What follows ``python -m runner``."""
        return [*COMMON, f"algorithm={self.algorithm}", *self.overrides]


CASES = (
    Case("sgd", ("run.epochs=5",)),
    Case("sgd_plain", ("run.epochs=5",)),
    Case("adamw", ("run.epochs=5",)),
    Case("fp_sgd", ("run.epochs=5",)),
    Case("fp_sgdm", ("run.epochs=5",)),
    Case("analog_sgd", ("device.n_states=1000", "run.epochs=5")),
    Case("analog_sgd", ("device.n_states=10", "run.epochs=5"), "at chance in the paper too"),
    Case("resl", ("device.n_states=10", "run.epochs=5"), "6 tiles, gamma 0.5"),
    Case(
        "resl",
        ("device.n_states=16", "algorithm.n_tiles=4", "algorithm.gamma=0.1", "warm_start=paper",
         "run.epochs=5"),
        "4 tiles, gamma 0.1, warm start",
    ),
    Case("mp", ("device.n_states=10", "run.epochs=5")),
    Case("ttv1", ("device.n_states=10", "run.epochs=5"), "at chance in the paper's code too"),
    Case(
        "ttv1",
        ("device.n_states=1000", "algorithm.fast_lr=0.1", "algorithm.transfer_lr=1", "optim.lr=0.1",
         "run.epochs=10"),
        "fast_lr and transfer_lr as for ResNets",
    ),
    Case("ttv2", ("device.n_states=20", "run.epochs=5")),
    Case("ttv2", ("device.n_states=200", "optim.lr=0.1", "run.epochs=10")),
    Case("ttv3", ("device.n_states=200", "run.epochs=2")),
    Case("ttv4", ("device.n_states=200", "run.epochs=2")),
)  # fmt: skip


def train(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case and return its summary."""
    done = subprocess.run(
        [sys.executable, "-m", "runner", *case.arguments, f"run.dir={folder}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{case.arguments}: exit status {done.returncode}\n{done.stderr}")
    return json.loads((folder / "summary.json").read_text())


def row(case: Case, summary: dict[str, Any]) -> str:
    """The case's line of the table."""
    accuracy = summary["final"]["test/accuracy"]
    error = math.sqrt(CHANCE * (1 - CHANCE) / summary["images"]["test"])
    learns = "yes" if accuracy > CHANCE + 5 * error else "no"
    options = " ".join(case.overrides)
    return (
        f"| {case.algorithm} | `{options}` | {100 * accuracy:.1f} | {learns} "
        f"| {summary['wall_time_s'] / max(summary['epochs'], 1):.1f} | {case.remark} |"
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "algorithms")
    args = parser.parse_args()
    out: Path = args.out.absolute()
    print("| algorithm | beside the common options | test accuracy, % | learns | s an epoch | |")
    print("|---|---|---|---|---|---|")
    for number, case in enumerate(CASES):
        print(row(case, train(case, out / f"{number:02d}-{case.algorithm}")), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
