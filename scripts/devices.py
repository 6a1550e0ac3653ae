"""Train LeNet-5 on a part of mnist5k on every device, by analog SGD and residual learning, and
print the table of docs/devices.md.

    python scripts/devices.py --out build/devices

A run that is finished is not repeated. Every run is one thread, seed 1.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from algorithms import CHANCE, ROOT, Case
from rich.console import Console

from runner.config import load_config
from runner.job import run_job

BUDGET, SMALL_BUDGET = (2000, 3), (1000, 1)
"""Images and epochs."""

QUICK = (
    "ecram_mo", "reram_es", "reram_sb", "reram_array_om", "reram_array_hfo2", "pcm", "ideal",
)  # fmt: skip
"""Devices with the small budget."""

MODELS = (
    "constant_step", "linear_step", "soft_bounds", "soft_bounds_reference", "exp_step", "pow_step",
    "pow_step_reference", "piecewise_step",
)  # fmt: skip
"""Devices that bring no number of states of their own."""

PRESETS = (
    "gokmen_vlasov", "ecram", "ecram_mo", "reram_es", "reram_sb", "reram_array_om",
    "reram_array_hfo2",
)  # fmt: skip
"""Devices with the states of a measured or specified one."""


def cases() -> list[tuple[str, Case]]:
    """Device and case of every line of the table."""
    found = []
    for device in (*MODELS, *PRESETS, "pcm", "ideal"):
        for algorithm, states in (("analog_sgd", 1000), ("resl", 10)):
            if algorithm == "resl" and device in ("pcm", "ideal"):
                continue  # aihwkit's compounds do not take them
            own = (f"device.n_states={states}",) if device in MODELS else ()
            images, epochs = SMALL_BUDGET if device in QUICK else BUDGET
            budget = (f"data.train_limit={images}", f"run.epochs={epochs}")
            overrides = (f"device={device}", *own, *budget)
            found.append((device, Case(algorithm, overrides)))
    return found


def train(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case in this process and return its summary."""
    cfg = load_config([*case.arguments, f"run.dir={folder}"])
    result = run_job(cfg, Console(stderr=True))
    if result.status not in ("finished", "diverged") or not result.summary:
        raise RuntimeError(f"{case.arguments}: {result.status}: {result.message}")
    return result.summary


def row(device: str, case: Case, summary: dict[str, Any]) -> str:
    """The case's line of the table."""
    accuracy, loss = summary["final"]["test/accuracy"], summary["final"]["train/loss"]
    error = math.sqrt(CHANCE * (1 - CHANCE) / summary["images"]["test"])
    learns = "yes" if accuracy > CHANCE + 5 * error else "no"
    states = [text.partition("=")[2] for text in case.overrides if "n_states" in text]
    return (
        f"| {device} | {states[0] if states else 'its own'} | {case.algorithm} "
        f"| {summary['epochs']} x {summary['images']['train']:,} | {loss:.3f} "
        f"| {100 * accuracy:.1f} | {learns} |"
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "devices")
    parser.add_argument("--device", nargs="*", help="these only")
    args = parser.parse_args()
    out: Path = args.out.absolute()
    head = ("device", "states", "algorithm", "epochs x images", "training loss", "test accuracy, %")
    print("| " + " | ".join((*head, "learns")) + " |")
    print("|---" * (len(head) + 1) + "|")
    for device, case in cases():
        if args.device and device not in args.device:
            continue
        folder = out / f"{device}-{case.algorithm}"
        print(row(device, case, train(case, folder)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
