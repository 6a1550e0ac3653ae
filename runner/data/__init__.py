"""Data sets in memory, their splits and their order."""

from __future__ import annotations

from runner.data.batches import batches, epoch_order
from runner.data.datasets import load_data
from runner.data.splits import Dataset, Split

__all__ = ["Dataset", "Split", "batches", "epoch_order", "load_data"]
