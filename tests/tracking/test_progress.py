"""What a run shows."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from runner.tracking import ProgressDisplay, RunInfo
from runner.training.position import Position

INFO = RunInfo(run_dir=Path(), config={}, n_batches=10, epochs=3)


def epoch(number: int, **more):
    metrics = {"epoch": number, "test/accuracy": 0.875, "time/epoch_s": 1.25, **more}
    return metrics if number == 0 else {"train/loss": 0.5, **metrics}


def shown(terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    display = ProgressDisplay(console)
    display.start(INFO)
    display.epoch(epoch(0, **{"warm_start/stage": 3}))
    display.batch(Position(batch=4, images=8, loss_sum=5.0))
    display.epoch(epoch(1, **{"warm_start/stage": 3}))
    display.epoch(epoch(2, **{"warm_start/stage": "chain"}))
    display.close()
    return out.getvalue()


def test_a_file_gets_one_plain_line_an_epoch():
    lines = shown(terminal=False).splitlines()
    assert lines[0] == "epoch 0/3  test accuracy 87.5 %  warm start on device 3  1.2 s"
    assert lines[1].startswith(
        "epoch 1/3  loss 0.5000  test accuracy 87.5 %  warm start on device 3  1.2 s  ETA 0:00:0"
    )
    assert "warm start" not in lines[2]
    assert len(lines) == 3


def test_a_terminal_gets_a_bar():
    text = shown(terminal=True)
    assert "epoch 1/3" in text
    assert "loss 0.625  test accuracy 87.5 %  warm start on device 3" in text
    assert "ETA" in text


def test_validation_accuracy_is_shown_where_there_is_one():
    out = io.StringIO()
    display = ProgressDisplay(Console(file=out, width=120))
    display.start(INFO)
    display.epoch(epoch(0, **{"val/accuracy": 0.25}))
    assert "val accuracy 25.0 %" in out.getvalue()
