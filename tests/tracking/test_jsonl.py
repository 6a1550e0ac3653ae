"""metrics.jsonl: each epoch exactly once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.tracking import JsonLines, RunInfo, read_metrics


def info(finished: int | None) -> RunInfo:
    return RunInfo(run_dir=Path(), config={}, n_batches=1, epochs=9, finished_epochs=finished)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def write(path: Path, epochs, finished: int | None = None) -> None:
    lines = JsonLines(path)
    lines.start(info(finished))
    for epoch in epochs:
        lines.epoch({"epoch": epoch, "loss": 0.1 * epoch})


def test_numbers_come_back_to_the_bit(path):
    write(path, [0, 1, 3])
    assert read_metrics(path) == [{"epoch": e, "loss": 0.1 * e} for e in (0, 1, 3)]


def test_a_fresh_run_starts_a_fresh_file(path):
    write(path, [0, 1])
    write(path, [0])
    assert [m["epoch"] for m in read_metrics(path)] == [0]


def test_lines_after_the_checkpoint_are_written_again(path):
    write(path, [0, 1, 2, 3])
    write(path, [2, 3, 4], finished=1)
    assert [m["epoch"] for m in read_metrics(path)] == [0, 1, 2, 3, 4]


def test_a_line_cut_by_a_kill_is_dropped(path):
    write(path, [0, 1])
    with path.open("a") as file:
        file.write('{"epoch": 2, "lo')
    assert [m["epoch"] for m in read_metrics(path)] == [0, 1]
    write(path, [2], finished=1)
    assert [m["epoch"] for m in read_metrics(path)] == [0, 1, 2]


def test_nan_becomes_null(path):
    lines = JsonLines(path)
    lines.start(info(None))
    lines.epoch({"epoch": 0, "a": float("nan"), "b": float("inf"), "c": None})
    assert json.loads(path.read_text()) == {"epoch": 0, "a": None, "b": None, "c": None}


def test_no_file_has_no_lines(path):
    assert read_metrics(path) == []
