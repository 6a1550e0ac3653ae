"""What a run leaves behind and shows: its folder, its metrics, its progress."""

from __future__ import annotations

from runner.tracking.base import Histogram, RunInfo, Tracker, Trackers
from runner.tracking.jsonl import JsonLines, read_metrics
from runner.tracking.progress import ProgressDisplay
from runner.tracking.run_folder import RunFolder

__all__ = [
    "Histogram",
    "JsonLines",
    "ProgressDisplay",
    "RunFolder",
    "RunInfo",
    "Tracker",
    "Trackers",
    "read_metrics",
]
