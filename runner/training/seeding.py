"""One seed for everything, and the settings that make torch repeat itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def deterministic(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and pin what its results depend on, for the time of a run.

    torch gives other bits with another number of threads, so the number belongs to the run.

    Args:
        seed: of torch's global generator, which decides initial weights and device spread.
        threads: CPU threads of torch.
    """
    threads_before = torch.get_num_threads()
    strict_before = torch.get_deterministic_debug_mode()
    fill_before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    # As use_deterministic_algorithms(True), which also imports torch's compiler: two seconds.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory finds bugs; it changes no result and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fill_before  # type: ignore[attr-defined]
        torch.set_deterministic_debug_mode(strict_before)
        torch.set_num_threads(threads_before)
