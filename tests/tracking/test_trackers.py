"""A tracker that fails never fails the run; the record of the run must not fail."""

from __future__ import annotations

import logging

import pytest

from runner.tracking import RunInfo, Tracker, Trackers

INFO = RunInfo(run_dir=None, config={}, n_batches=3, epochs=2)  # type: ignore[arg-type]


class Noting(Tracker):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self, info):
        self.calls.append("start")

    def batch(self, at):
        self.calls.append("batch")

    def epoch(self, metrics):
        self.calls.append(f"epoch {metrics['epoch']}")

    def finish(self, summary):
        self.calls.append("finish")

    def close(self):
        self.calls.append("close")


class Broken(Noting):
    def epoch(self, metrics):
        super().epoch(metrics)
        raise RuntimeError("network is down")


def drive(trackers: Trackers) -> None:
    trackers.start(INFO)
    trackers.epoch({"epoch": 0})
    trackers.batch(None)  # type: ignore[arg-type]
    trackers.epoch({"epoch": 1})
    trackers.finish({})
    trackers.close()


def test_a_broken_tracker_is_left_out_and_named_once(caplog):
    record, broken, sound = Noting(), Broken(), Noting()
    with caplog.at_level(logging.WARNING, "runner"):
        drive(Trackers(record, [broken, sound]))
    whole = ["start", "epoch 0", "batch", "epoch 1", "finish", "close"]
    assert sound.calls == whole
    assert record.calls == [call for call in whole if call != "batch"]
    assert broken.calls == ["start", "epoch 0", "close"]
    named = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert named == ["Broken failed and is left out from now on: network is down"]


def test_an_error_of_the_record_goes_through():
    with pytest.raises(RuntimeError, match="network is down"):
        drive(Trackers(Broken()))
