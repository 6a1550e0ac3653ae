"""Kill runs at random moments, continue them, and compare with an undisturbed run, bit by bit.

    python scripts/kill_and_resume.py --out build/kills --kills 10 --seed 1

Every kill is a SIGKILL of a run of its own, at a moment drawn evenly from its training time. In odd
trials checkpoints come at the end of epochs only, so the kill falls between two; in even ones they
come several times a second, so it may fall into the writing of one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

COMMON = ("data=mnist5k", "data.train_limit=600", "run.epochs=4", "device.n_states=16")
WARM = (
    "algorithm=resl", "algorithm.n_tiles=4", "algorithm.gamma=0.1", "warm_start=paper",
    "warm_start.rule=every_n", "warm_start.every_n=1",
)  # fmt: skip
CASES: dict[str, tuple[str, ...]] = {
    "residual learning, warm start": WARM,
    "residual learning, chain": WARM[:3],
    "analog SGD": ("algorithm=analog_sgd",),
    "TT-v2 (aihwkit's compound)": ("algorithm=ttv2",),
    "digital, momentum": ("algorithm=sgd", "optim.momentum=0.9"),
}
OFTEN = "checkpoint.every_minutes=0.003"


@dataclass
class Tally:
    """Outcome of one case."""

    kills: int = 0
    same: int = 0
    within_epoch: int = 0
    between: int = 0


def command(folder: Path, overrides: tuple[str, ...]) -> list[str]:
    """The command line of a run."""
    return [sys.executable, "-m", "runner", *COMMON, *overrides, f"run.dir={folder}"]


def start(folder: Path, overrides: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start a run in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command(folder, overrides), env=environment, stdout=quiet, stderr=quiet)


def finish(folder: Path, overrides: tuple[str, ...]) -> None:
    """Run, or continue, to the end."""
    with start(folder, overrides) as child:
        if child.wait() != 0:
            raise RuntimeError(f"{folder} ended with status {child.returncode}: see its run.log")


def outcome(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What must be the same: the metrics without times, and the bytes of the last checkpoint."""
    from runner.tracking import read_metrics
    from runner.training.checkpoint import CheckpointStore

    lines = read_metrics(folder / "metrics.jsonl")
    timeless = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
    loaded, _ = CheckpointStore(folder / "checkpoints", keep=1).newest()
    assert loaded is not None
    return timeless, {name: t.contiguous().numpy().tobytes() for name, t in loaded.tensors.items()}


def train_time(folder: Path) -> float:
    """Seconds from the first line of the metrics to the last."""
    from runner.tracking import read_metrics

    lines = read_metrics(folder / "metrics.jsonl")
    return lines[-1]["time/total_s"] - lines[0]["time/total_s"]


def kill_once(folder: Path, overrides: tuple[str, ...], wait_s: float) -> bool:
    """Start a run and kill it `wait_s` after its training began; False if it had ended."""
    child = start(folder, overrides)
    while not (folder / "metrics.jsonl").exists() and child.poll() is None:
        time.sleep(0.005)
    time.sleep(wait_s)
    running = child.poll() is None
    child.kill()
    child.wait()
    return running


def study(case: str, kills: int, seed: int, out: Path) -> Tally:
    """Kill and continue one case, `kills` times."""
    from runner.training.checkpoint import CheckpointStore

    overrides, chance, tally = CASES[case], random.Random(f"{seed} {case}"), Tally()
    folder = out / case.split(",")[0].split(" (")[0].replace(" ", "-").lower()
    folder = folder.with_name(f"{folder.name}-{list(CASES).index(case)}")
    shutil.rmtree(folder, ignore_errors=True)
    finish(folder / "whole", overrides)
    whole, duration = outcome(folder / "whole"), train_time(folder / "whole")
    trial = 0
    while tally.kills < kills:
        trial += 1
        cut = folder / f"cut{trial}"
        often = (OFTEN,) if trial % 2 == 0 else ()
        if not kill_once(cut, (*overrides, *often), chance.uniform(0, 0.9 * duration)):
            continue
        tally.kills += 1
        tally.between += not often
        newest = CheckpointStore(cut / "checkpoints", keep=1).files()
        tally.within_epoch += bool(newest) and "batch" in newest[0].name
        finish(cut, (*overrides, *often))
        same = outcome(cut) == whole
        tally.same += same
        print(f"{case}: kill {tally.kills}/{kills} {'same' if same else 'DIFFERENT'}", flush=True)
        if same:
            shutil.rmtree(cut)
    return tally


def main() -> int:
    """Command line; exit status 1 if any run ended differently."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "kills")
    parser.add_argument("--kills", type=int, default=10, help="kills of each case")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    args = parser.parse_args()
    head = ("case", "kills", "between checkpoints of epochs", "continued within an epoch", "same")
    rows = []
    for case in CASES:
        t = study(case, args.kills, args.seed, args.out)
        rows.append((case, t.kills, t.between, t.within_epoch, t.same))
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, 5))))
    table = Table(*head)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    lines.insert(1, "|---" * len(head) + "|")
    (args.out / "kills.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if rows[-1][-1] == rows[-1][1] else 1


if __name__ == "__main__":
    sys.exit(main())
