"""Train LeNet-5 on mnist5k on every device, by analog SGD and residual learning, and print the
table of docs/devices.md.

    python scripts/devices.py --out build/devices

A run that is finished is not repeated. Every run is one thread, seed 1.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from algorithms import CHANCE, ROOT, Case, train

EPOCHS = 3
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
            overrides = (f"device={device}", *own, f"run.epochs={EPOCHS}")
            found.append((device, Case(algorithm, overrides)))
    return found


def row(device: str, case: Case, summary: dict[str, Any]) -> str:
    """The case's line of the table."""
    accuracy, loss = summary["final"]["test/accuracy"], summary["final"]["train/loss"]
    error = math.sqrt(CHANCE * (1 - CHANCE) / summary["images"]["test"])
    learns = "yes" if accuracy > CHANCE + 5 * error else "no"
    states = [text.partition("=")[2] for text in case.overrides if "n_states" in text]
    return (
        f"| {device} | {states[0] if states else 'its own'} | {case.algorithm} | {loss:.3f} "
        f"| {100 * accuracy:.1f} | {learns} "
        f"| {summary['wall_time_s'] / max(summary['epochs'], 1):.1f} |"
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "devices")
    args = parser.parse_args()
    out: Path = args.out.absolute()
    head = ("device", "states", "algorithm", "training loss", "test accuracy, %", "learns")
    print("| " + " | ".join((*head, "s an epoch")) + " |")
    print("|---" * (len(head) + 1) + "|")
    for device, case in cases():
        folder = out / f"{device}-{case.algorithm}"
        print(row(device, case, train(case, folder)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
