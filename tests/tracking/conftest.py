"""What W&B and TensorBoard left behind, read back from their files."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_BLOCK, _HEADER = 32768, 7


@dataclass
class Sitting:
    """One offline run folder of W&B, as ``wandb sync`` would send it."""

    run: Any = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    system: list[dict[str, float]] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        pairs = {item.key: json.loads(item.value_json) for item in self.run.config.update}
        return {key: value for key, value in pairs.items() if key != "_wandb"}

    @property
    def scalars(self) -> list[dict[str, Any]]:
        """The rows without W&B's own entries and without histograms."""
        return [
            {k: v for k, v in row.items() if not k.startswith("_") and not isinstance(v, dict)}
            for row in self.rows
        ]

    def histograms(self, name: str) -> dict[int, dict[str, Any]]:
        """Epoch -> histogram."""
        return {row["epoch"]: row[name] for row in self.rows if name in row}


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format, as far as it was written."""
    at, record = 7, b""
    while at + _HEADER <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + _HEADER])
        at += _HEADER
        if kind == 0 or at + length > len(data):
            return
        record = data[at : at + length] if kind in (1, 2) else record + data[at : at + length]
        at += length
        if kind in (1, 4):
            yield record


def _put(row: dict[str, Any], item: Any) -> None:
    names = list(item.nested_key) or [item.key]
    for name in names[:-1]:
        row = row.setdefault(name, {})
    row[names[-1]] = json.loads(item.value_json)


def read_sitting(folder: Path) -> Sitting:
    """Read an ``offline-run-*`` folder."""
    from wandb.proto import wandb_internal_pb2

    new_record: Any = wandb_internal_pb2.Record  # type: ignore[attr-defined]
    (path,) = folder.glob("*.wandb")
    found = Sitting()
    for data in _records(path.read_bytes()):
        record = new_record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
        elif kind == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                _put(row, item)
            assert row["_step"] == record.history.step.num
            found.rows.append(row)
        elif kind == "summary":
            for item in record.summary.update:
                _put(found.summary, item)
        elif kind == "stats":
            found.system.append({i.key: json.loads(i.value_json) for i in record.stats.item})
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "metric":
            found.metrics.append(record.metric)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


@pytest.fixture
def sittings() -> Callable[[Path], list[Sitting]]:
    """The sittings of the W&B run in a folder, oldest first."""

    def read(folder: Path) -> list[Sitting]:
        return [read_sitting(path) for path in sorted((folder / "wandb").glob("offline-run-*"))]

    return read
