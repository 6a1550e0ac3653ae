"""metrics.jsonl: one JSON object an epoch, each epoch exactly once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.files import write_atomic
from runner.tracking.base import RunInfo, Tracker


class JsonLines(Tracker):
    """Appends a line an epoch, on disk before the epoch's checkpoint is written.

    A resumed run starts at its checkpoint, so lines of later epochs, and a line cut in two by a
    kill, are removed at the start: the run writes them again.

    Args:
        path: the file; its folder exists.

    Raises:
        OSError: the file can not be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, info: RunInfo) -> None:
        """Keep the lines of the finished epochs, none for a fresh run."""
        kept = []
        if info.finished_epochs is not None:
            kept = [m for m in read_metrics(self._path) if m["epoch"] <= info.finished_epochs]
        write_atomic(self._path, "".join(map(_line, kept)).encode())

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Append one line and bring it to disk."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(metrics))
            file.flush()
            os.fsync(file.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics.jsonl; a last line that is cut off is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    # What follows the last line break was never finished.
    return [json.loads(line) for line in lines[:-1] if line]


def _line(metrics: Mapping[str, Any]) -> str:
    """JSON has no NaN or infinity; they become null."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }
    return json.dumps(plain) + "\n"
