"""One run, from typed config to run folder."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from runner.config import config_from_dict, config_to_dict
from runner.tracking import JsonLines, ProgressDisplay, RunFolder
from runner.training import loop

CHAIN = ["algorithm=resl", "algorithm.n_tiles=4", "algorithm.gamma=0.1"]
WARM = [*CHAIN, "warm_start.enabled=true", "warm_start.rule=every_n", "warm_start.every_n=1"]


def test_a_run_leaves_a_whole_folder(short_run):
    run = short_run("a", *WARM, "data.val_fraction=0.1", picture=True)
    assert run.result.status == "finished"
    assert run.result.exit_code == 0
    names = {path.name for path in run.folder.iterdir()}
    assert names >= {
        "config.yaml", "metrics.jsonl", "summary.json", "run.log", "curves.png", "checkpoints",
    }  # fmt: skip
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config_to_dict(config_from_dict(config)) == config
    assert (run.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_an_epoch_with_the_promised_keys(short_run):
    lines = short_run("a", *WARM, "data.val_fraction=0.1").metrics
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    common = {
        "val/loss", "val/accuracy", "test/loss", "test/accuracy", "lr", "warm_start/stage",
        "warm_start/switches", "time/epoch_s", "time/total_s",
    }  # fmt: skip
    for line in lines:
        assert common <= line.keys()
    assert {"train/loss", "train/accuracy"} <= lines[1].keys()
    assert lines[2]["tiles/fc1/device0/pulses"] > lines[1]["tiles/fc1/device0/pulses"] > 0


def test_the_stages_are_in_the_metrics(short_run):
    run = short_run("a", *WARM, "run.epochs=5", "data.train_limit=16")
    stages = [(line["warm_start/stage"], line["warm_start/switches"]) for line in run.metrics]
    assert stages == [(3, 0), (3, 0), (2, 1), (1, 2), ("chain", 3), ("chain", 3)]
    assert "epoch 1: warm start goes to device 2" in run.output
    assert "epoch 3: warm start goes to the chain" in run.output


def test_the_summary_tells_final_and_best(short_run):
    run = short_run("a", "algorithm=sgd", "data.val_fraction=0.1", "optim.lr=0.2")
    summary, lines = run.summary, run.metrics
    assert summary["final"] == lines[-1]
    assert summary["best"]["by"] == "val/accuracy"
    best = max(lines[1:], key=lambda line: line["val/accuracy"])
    assert summary["best"]["val/accuracy"] == best["val/accuracy"]
    assert run.result.metric == best["val/accuracy"]
    assert summary["seed"] == 1
    assert summary["images"] == {"train": 120, "val": 400, "test": 1000}
    assert set(summary["versions"]) == {"warmtile", "python", "torch", "aihwkit", "numpy"}


def test_without_validation_images_nothing_of_the_test_is_returned(short_run):
    run = short_run("a", "algorithm=sgd")
    assert run.result.metric is None
    assert run.summary["best"]["by"] == "train/loss"


def test_digital_training_learns(short_run):
    run = short_run("a", "algorithm=sgd", "data.train_limit=1000", "run.epochs=3")
    assert run.metrics[-1]["test/accuracy"] > 0.75


@pytest.mark.parametrize("algorithm", [CHAIN, WARM, ["algorithm=analog_sgd"], ["algorithm=sgd"]])
def test_the_same_command_gives_the_same_metrics(short_run, algorithm):
    a, b, c = (
        short_run(name, *algorithm, f"run.seed={seed}", "run.epochs=1")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a.timeless == b.timeless
    assert a.same_state(b)
    assert a.timeless != c.timeless


def test_randomness_of_the_process_does_not_matter(short_run):
    a = short_run("a", *CHAIN, "run.epochs=1")
    torch.rand(17)
    threads = torch.get_num_threads()
    b = short_run("b", *CHAIN, "run.epochs=1")
    assert a.timeless == b.timeless
    assert torch.get_num_threads() == threads


def test_zero_epochs_evaluate_the_untrained_network(short_run):
    run = short_run("a", "algorithm=sgd", "run.epochs=0")
    assert run.result.status == "finished"
    assert [line["epoch"] for line in run.metrics] == [0]


def test_noisy_io_trains_and_repeats(short_run):
    a, b = (short_run(n, *CHAIN, "io=default", "run.epochs=1", "data.train_limit=24") for n in "ab")
    assert a.timeless == b.timeless
    assert a.timeless != short_run("c", *CHAIN, "run.epochs=1", "data.train_limit=24").timeless


def test_a_setting_that_moves_no_tile_is_said(short_run):
    assert "optim.lr and its schedule move no tile" in short_run("a", *CHAIN, "run.epochs=0").output


def test_an_infinite_loss_stops_the_run(short_run):
    # w <- w - 1000 * (gradient + w): every step multiplies the weights by -999.
    run = short_run("a", "algorithm=sgd", "optim.lr=1000", "optim.weight_decay=1")
    assert run.result.status == "diverged"
    assert run.result.exit_code == 3
    message = run.result.message
    assert message is not None
    assert "loss in epoch" in message
    assert "optim.lr" in message
    assert run.summary["status"] == "diverged"
    assert all(math.isfinite(line["test/loss"]) for line in run.metrics)


def test_divergence_names_the_last_good_checkpoint(short_run, monkeypatch):
    check = loop.check_finite
    monkeypatch.setattr(
        loop,
        "check_finite",
        lambda loss, what: check(math.nan if "epoch 2" in what else loss, what),
    )
    run = short_run("a", "algorithm=sgd")
    assert run.result.status == "diverged"
    assert "epoch00001.safetensors" in (run.result.message or "")


def test_a_run_at_chance_is_told_so(short_run):
    # So high a rate drives every tanh to its end, where nothing is learnt any more.
    run = short_run("a", "algorithm=sgd", "optim.lr=1000", "run.epochs=4")
    assert run.output.count("has been at chance") == 1


def test_an_error_of_the_program_is_recorded(short_run, monkeypatch):
    def broken(self, images):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("runner.models.lenet5.LeNet5.forward", broken)
    run = short_run("a", "algorithm=sgd")
    assert (run.result.status, run.result.exit_code) == ("failed", 1)
    assert run.result.message == ("RuntimeError: first line second line; run.log has the traceback")
    assert run.summary["status"] == "failed"
    assert "Traceback (most recent call last)" in (run.folder / "run.log").read_text()


def test_an_error_within_training_keeps_what_was_reached(short_run, monkeypatch):
    def full(self, metrics):
        if metrics["epoch"] == 2:
            raise OSError(28, "No space left on device", str(self._path))
        original(self, metrics)

    original = JsonLines.epoch
    monkeypatch.setattr(JsonLines, "epoch", full)
    run = short_run("a", "algorithm=sgd")
    assert run.result.status == "failed"
    assert (run.result.message or "").startswith("No space left on device: ")
    assert [line["epoch"] for line in run.metrics] == [0, 1]
    monkeypatch.undo()
    again = short_run("a", "algorithm=sgd")
    assert again.result.status == "finished"
    assert again.timeless == short_run("b", "algorithm=sgd").timeless


def test_an_error_between_the_lock_and_the_first_epoch(short_run, monkeypatch):
    def full(self, config):
        raise OSError(28, "No space left on device", "config.yaml")

    monkeypatch.setattr(RunFolder, "write_config", full)
    run = short_run("a", "algorithm=sgd")
    assert (run.result.status, run.result.exit_code) == ("failed", 1)
    assert run.result.message == "No space left on device: config.yaml"
    assert run.summary["message"] == run.result.message
    monkeypatch.undo()
    assert short_run("a", "algorithm=sgd").result.status == "finished"


def test_a_failing_display_does_not_fail_the_run(short_run, monkeypatch):
    def broken(self, metrics):
        raise RuntimeError("no terminal")

    monkeypatch.setattr(ProgressDisplay, "epoch", broken)
    run = short_run("a", "algorithm=sgd")
    assert run.result.status == "finished"
    assert run.output.count("ProgressDisplay failed and is left out") == 1


def test_missing_data_is_refused_and_nothing_is_written(short_run, tmp_path):
    root = tmp_path / "empty"
    root.mkdir()
    run = short_run("a", "algorithm=sgd", "data=mnist", f"data.root={root}", "data.download=false")
    assert (run.result.status, run.result.exit_code) == ("refused", 2)
    assert "data.download=false" in (run.result.message or "")
    assert not run.folder.exists()


def test_loggers_are_left_as_they_were(short_run):
    logger = logging.getLogger("runner")
    before = (list(logger.handlers), logger.level, logger.propagate)
    short_run("a", "algorithm=sgd", "run.epochs=0")
    assert (list(logger.handlers), logger.level, logger.propagate) == before


def test_a_start_does_not_import_torchs_compiler(tmp_path):
    # It takes longer than everything else of a start together, and nothing uses it.
    script = (
        "import sys\n"
        "from runner.app import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    command = [
        sys.executable, "-c", script, *WARM, "data=mnist5k", "data.train_limit=16", "run.epochs=1",
        f"run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "False"
