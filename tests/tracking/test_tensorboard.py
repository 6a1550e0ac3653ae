"""What a user sees in TensorBoard, and that all records of a run agree."""

from __future__ import annotations

import math
import os
import signal

from runner.tracking import ProgressDisplay
from runner.tracking.base import scalars
from runner.tracking.tensorboard import FOLDER

RUN = [
    "algorithm=resl", "algorithm.n_tiles=3", "algorithm.gamma=0.1", "warm_start.enabled=true",
    "warm_start.rule=every_n", "warm_start.every_n=1", "data.train_limit=32", "run.epochs=3",
    "data.val_fraction=0.1",
]  # fmt: skip


def events(folder):
    """TensorBoard's own reader, with everything kept."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kept = {"scalars": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(folder / FOLDER), size_guidance=kept).Reload()


def rows(folder) -> list[dict[str, float]]:
    """The scalars as one dict an epoch."""
    found = events(folder)
    table: dict[int, dict[str, float]] = {}
    for tag in found.Tags()["tensors"]:
        for event in found.Tensors(tag):
            proto = event.tensor_proto
            if proto.double_val:
                table.setdefault(event.step, {"epoch": event.step})[tag] = proto.double_val[0]
    return [table[step] for step in sorted(table)]


def test_all_records_of_a_run_agree_and_none_changes_it(short_run, sittings):
    plain = short_run("plain", *RUN)
    run = short_run("a", *RUN, "tracking=[wandb,tensorboard]")
    assert run.timeless == plain.timeless
    assert run.same_state(plain)
    (seen,) = sittings(run.folder)
    recorded, drawn = run.metrics, rows(run.folder)
    assert len(recorded) == 4
    assert seen.scalars == [scalars(line) for line in recorded]
    assert drawn == [scalars(line) for line in recorded]
    # `scalars` leaves out nothing but what is null, and turns nothing but the chain into a number.
    for line, row in zip(recorded, drawn, strict=True):
        assert {name for name, value in line.items() if value is not None} == row.keys()
        changed = {name for name in row if row[name] != line[name]}
        assert changed <= {"warm_start/stage"}
        assert row["warm_start/stage"] == (
            0 if line["warm_start/stage"] == "chain" else line["warm_start/stage"]
        )

    found = events(run.folder)
    names = {name for row in seen.rows for name, value in row.items() if isinstance(value, dict)}
    assert names - {"_wandb"} == set(found.Tags()["histograms"])
    for name in sorted(names - {"_wandb"}):
        in_wandb = seen.histograms(name)
        for event in found.Histograms(name):
            each, theirs = event.histogram_value, in_wandb[event.step]
            assert math.isclose(each.num, sum(theirs["values"]))
            assert (each.min, each.max) == (theirs["bins"][0], theirs["bins"][-1])


def test_a_continued_run_shows_each_epoch_once(short_run, monkeypatch):
    def stop(self, metrics):
        if metrics["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    options = [*RUN, "tracking=[tensorboard]", "checkpoint.every_epochs=0"]
    with monkeypatch.context() as patch:
        patch.setattr(ProgressDisplay, "epoch", stop)
        assert short_run("a", *options).result.status == "interrupted"
    run = short_run("a", *options)
    assert rows(run.folder) == [scalars(line) for line in run.metrics]


def test_turned_on_later_it_has_the_earlier_epochs_too(short_run):
    short_run("a", *RUN, "run.epochs=1")
    run = short_run("a", *RUN, "tracking=[tensorboard]")
    assert rows(run.folder) == [scalars(line) for line in run.metrics]
