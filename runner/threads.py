"""Threads of OpenMP and BLAS, and how many jobs fit on this machine beside each other."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables; they have an effect only before numpy or torch is imported."""
    return dict.fromkeys(_VARIABLES, str(threads))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def jobs_at_once(threads: int) -> int:
    """Jobs of so many threads for which there are cores; at least one."""
    return max(1, cores() // threads)
