"""Paired timing in one process, and what this machine can do at most."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from device_ext import _core

Work = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of one subject, one entry a round, in the order of the rounds."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile, in seconds; both the only value of a single round."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third


def paired_ratio(slow: Times, fast: Times) -> float:
    """Median over the rounds of how many times longer `slow` took in the same round."""
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


def alternate(
    subjects: Mapping[str, Work], rounds: int, shortest_s: float = 0.02
) -> dict[str, Times]:
    """Time subjects in turns, so that what else the machine does hits all alike.

    Args:
        subjects: what to time, by name; each is called once beforehand, untimed.
        rounds: turns.
        shortest_s: a subject is called so often in its turn that the turn lasts about this long.
    """
    calls = {}
    for name, work in subjects.items():
        work()
        calls[name] = max(1, int(shortest_s / max(seconds_of(work, 1), 1e-7)))
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, work in subjects.items():
            found[name].append(seconds_of(work, calls[name]))
    return {name: Times(seconds) for name, seconds in found.items()}


def seconds_of(work: Work, calls: int = 1) -> float:
    """Mean seconds of a call."""
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls


@dataclass(frozen=True)
class Limits:
    """What one thread of this machine reaches, measured now.

    Args:
        draw_s: seconds for one line's random number and comparison, values in the cache.
        byte_s: seconds for moving one byte through memory (half of it read, half written).
    """

    draw_s: float
    byte_s: float

    def update_s(self, in_size: int, out_size: int, vectors: int, pulses: int) -> float:
        """Least time of an update of one pulse slot a vector, from first principles.

        Every line of every vector is drawn once, x and d are read once, and a pulse touches the
        32 bytes that a cross-point's weight, bounds and steps take, read, with 4 written back.

        Args:
            in_size, out_size: shape of the tile.
            vectors: vectors in the mini-batch.
            pulses: pulses of the mini-batch.
        """
        lines = vectors * (in_size + out_size)
        return lines * self.draw_s + (4 * lines + 36 * pulses) * self.byte_s


def machine_limits() -> Limits:
    """Measure `Limits` on one thread."""
    n = 4096
    values = np.ones(n, dtype=np.float32)
    source = torch.ones(1 << 25)
    target = torch.empty_like(source)
    times = alternate(
        {"draw": lambda: _core.fire(values, 1e-9, 1), "move": lambda: target.copy_(source)},
        rounds=7,
    )
    return Limits(times["draw"].median / n, times["move"].median / (8 * source.numel()))


def peak_memory_mb(arguments: list[str]) -> float:
    """Peak resident memory of a Python child process with these arguments, in MB.

    Read from /proc: the figure of getrusage survives exec, so it would be the parent's.
    """
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__'); "
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')][0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1]) / 1024
