"""Dry runs, the profiler, accumulated gradients, the plateau schedule: whole runs."""

from __future__ import annotations

import json

import pytest
import torch

from runner.config import config_to_dict, load_config
from runner.config.values import config_hash


@pytest.mark.parametrize("algorithm", ["resl", "sgd"])
def test_a_dry_run_measures_and_writes_nothing(short_run, tmp_path, algorithm):
    run = short_run("a", f"algorithm={algorithm}", "run.dry=true", "run.epochs=7")
    assert (run.result.status, run.result.exit_code) == ("finished", 0)
    assert list(tmp_path.iterdir()) == []
    assert "conv2" in run.output
    assert "an epoch has 15 steps" in run.output
    assert "7 epochs: about" in run.output
    points = 6 * (25 * 16 + 400 * 32 + 512 * 128 + 1280) if algorithm == "resl" else 0
    assert f"dry run: {points:,} cross-points" in run.output


def test_a_dry_run_belongs_to_the_same_run():
    assert config_hash(load_config()) == config_hash(load_config(["run.dry=true"]))
    assert config_to_dict(load_config(["run.dry=true"]))["run"]["dry"] is True


def test_the_profiler_names_the_operators(short_run):
    run = short_run("a", "algorithm=sgd", "run.epochs=1", "run.profile=3")
    assert "aten::" in (run.folder / "profile.txt").read_text()
    assert json.loads((run.folder / "profile.json").read_text())["traceEvents"]


def test_accumulated_gradients_are_those_of_a_larger_batch(short_run):
    plain = ["algorithm=sgd", "optim.lr=0.05", "run.epochs=2"]
    small = short_run("a", *plain, "data.batch_size=10", "optim.accumulate=3")
    large = short_run("b", *plain, "data.batch_size=30")
    for name, tensor in large.tensors.items():
        if name.startswith("model:"):
            torch.testing.assert_close(small.tensors[name], tensor, atol=1e-5, rtol=1e-4)


def test_what_is_left_of_an_epoch_makes_a_step(short_run):
    run = short_run("a", "algorithm=sgd", "run.epochs=1", "data.batch_size=100",
                    "optim.accumulate=5")  # fmt: skip
    start = short_run("b", "algorithm=sgd", "run.epochs=0")
    assert run.metrics[-1]["test/loss"] != start.metrics[0]["test/loss"]


def test_the_plateau_schedule_lowers_the_rate_and_resumes(short_run):
    """A rate that is far too high: the loss goes up and down."""
    options = ["algorithm=sgd_plain", "optim=plateau", "optim.lr=20", "optim.patience=0",
               "optim.gamma=0.5", "optim.loss=mse"]  # fmt: skip
    whole = short_run("a", *options, "run.epochs=6")
    rates = [line["lr"] for line in whole.metrics]
    assert rates[0] == 20
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 20
    short_run("b", *options, "run.epochs=3")
    assert short_run("b", *options, "run.epochs=6").timeless == whole.timeless


def test_workers_do_not_change_a_run(short_run):
    options = ["model=resnet18", "model.block_numbers=[1,1,1,1]", "algorithm=sgd", "data=fake",
               "data.train_limit=64", "data.flip=true", "data.auto_augment=true",
               "run.epochs=1"]  # fmt: skip
    assert short_run("a", *options).same_state(short_run("b", *options, "data.workers=1"))
