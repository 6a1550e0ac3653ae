"""The pulse engine's tests run on one thread, with the best kernels, and leave both so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from device_ext import _core


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads and kernels are a test's own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    _core.use_kernels("auto")
