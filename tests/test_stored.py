"""Runs read back: tested again, and exported."""

from __future__ import annotations

import json

import pytest
import safetensors.torch

from runner.evaluate import evaluate_run
from runner.evaluate import main as evaluate_main
from runner.export import export_run
from runner.export import main as export_main

RUNS = {
    "warm start": ["algorithm=resl", "algorithm.n_tiles=4", "warm_start=paper"],
    "ttv2": ["algorithm=ttv2"],
    "floating point": ["algorithm=fp_sgd"],
    "floating point, momentum": ["algorithm=fp_sgdm"],
    "adamw": ["algorithm=adamw"],
    "digital": ["algorithm=sgd"],
    "half digital": ["algorithm=analog_sgd", "model.block_types=[D,A,D,A]"],
    "learned scales": ["algorithm=resl", "mapping.learn_out_scaling=true"],
    "tiles of 100": [
        "algorithm=resl", "mapping.max_input_size=100", "mapping.max_output_size=100",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_the_logged_accuracy_comes_back(short_run, name):
    run = short_run("a", *RUNS[name], "run.epochs=1")
    found = evaluate_run(run.folder, n=2)
    last = run.metrics[-1]
    assert found.accuracies == [last["test/accuracy"]] * 2
    assert found.losses == [last["test/loss"]] * 2
    assert found.logged == last["test/accuracy"]


@pytest.mark.parametrize("name", RUNS)
def test_exported_weights_do_the_same_digitally(short_run, name, tmp_path):
    run = short_run("a", *RUNS[name], "run.epochs=1")
    target = export_run(run.folder, tmp_path / "w.safetensors")
    digital = short_run("b", "algorithm=sgd", f"model.init_from={target}", "run.epochs=0")
    assert digital.metrics[0]["test/loss"] == pytest.approx(run.metrics[-1]["test/loss"], rel=1e-4)
    with safetensors.safe_open(target, framework="pt") as file:
        assert file.metadata()["model"] == "lenet5"


def test_noise_spreads_and_repeats(short_run):
    run = short_run("a", "algorithm=analog_sgd", "device.n_states=1000", "run.epochs=1")
    once = evaluate_run(run.folder, ["io=default"], n=3)
    assert once.losses == evaluate_run(run.folder, ["io=default"], n=3).losses
    assert len(set(once.losses)) == 3
    assert once.logged is None


def test_other_data(short_run):
    run = short_run("a", "algorithm=sgd", "run.epochs=1")
    same = evaluate_run(run.folder, ["data.test_batch_size=100"])
    assert same.accuracies == [run.metrics[-1]["test/accuracy"]]


def test_command_lines(short_run, capsys, tmp_path):
    run = short_run("a", "algorithm=sgd", "run.epochs=1")
    capsys.readouterr()
    assert evaluate_main([str(run.folder), "n=2", "checkpoint=best", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["accuracies"]) == 2
    assert evaluate_main([str(run.folder)]) == 0
    assert "logged" in capsys.readouterr().out
    assert export_main([str(run.folder)]) == 0
    assert (run.folder / "weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["n=0"], "n=0: must be at least 1"),
        (["n=x"], "n=x: must be a whole number"),
        (["checkpoint=newst"], "nearest valid: newest"),
        (["io=nois"], "io=nois: must be one of"),
        (["data=mnist6k"], "nearest valid: mnist5k"),
        (["data.nope=1"], "data.nope=1: unknown key"),
        (["optim.lr=1"], "only data, io, n and checkpoint"),
    ],
)
def test_mistakes_are_one_line(short_run, capsys, options, message):
    run = short_run("a", "algorithm=sgd", "run.epochs=1")
    capsys.readouterr()
    assert evaluate_main([str(run.folder), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_no_run(capsys, tmp_path):
    assert evaluate_main([str(tmp_path / "none")]) == 2
    assert "no such run folder" in capsys.readouterr().err
    assert export_main([str(tmp_path)]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err


def test_a_run_starts_from_another_run(short_run):
    digital = short_run("a", "algorithm=sgd", "run.epochs=1")
    analog = short_run(
        "b", "algorithm=resl", "device.w_max_dtod=0", "device.w_min_dtod=0",
        f"model.init_from={digital.folder}", "run.epochs=0",
    )  # fmt: skip
    # Weights beyond the devices' bounds are clipped; LeNet-5 has hardly any.
    assert analog.metrics[0]["test/loss"] == pytest.approx(
        digital.metrics[-1]["test/loss"], rel=0.02
    )
