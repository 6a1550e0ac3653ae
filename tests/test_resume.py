"""A run that was cut off and continued ends as the undisturbed one, to the bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from runner.tracking import ProgressDisplay, RunFolder

WARM = [
    "algorithm=resl", "algorithm.n_tiles=4", "algorithm.gamma=0.1", "warm_start.enabled=true",
    "warm_start.rule=every_n", "warm_start.every_n=1",
]  # fmt: skip
SETTINGS = {
    "warm start": WARM,
    "chain": WARM[:3],
    "analog sgd": ["algorithm=analog_sgd"],
    "ttv1": ["algorithm=ttv1"],
    "ttv2": ["algorithm=ttv2"],
    "ttv3": ["algorithm=ttv3", "data.train_limit=64"],
    "ttv4": ["algorithm=ttv4", "data.train_limit=64"],
    "mixed precision": ["algorithm=mp"],
    "pairs": ["algorithm=analog_sgd", "device=pcm", "io=default"],
    "ideal": ["algorithm=analog_sgd", "device=ideal"],
    "piecewise": ["algorithm=analog_sgd", "device=piecewise_step", "device.write_noise_std=1"],
    "references": [
        "device=reram_array_om",
        "algorithm.n_tiles=3",
        "fast_device=pow_step_reference",
    ],
    "weights that move by themselves": [
        "algorithm.n_tiles=3",
        "device.lifetime=200",
        "device.reset=0.1",
        "device.diffusion=0.002",
        "device.drift_nu=0.02",
        "device.drift_nu_dtod=0.3",
        "device.write_noise_std=0.5",
        "fast_device=ecram",
        "fast_device.lifetime=50",
    ],
    "drift alone": ["algorithm=analog_sgd", "device.drift_nu=0.02"],
    "floating point": ["algorithm=fp_sgd"],
    "digital with momentum": ["algorithm=sgd", "optim.momentum=0.9", "data.val_fraction=0.1"],
}


def stop_at(monkeypatch, epoch: int, batch: int, number: int = signal.SIGTERM) -> None:
    """Send this process a signal after `batch` mini-batches of `epoch`."""

    def kill(self, at):
        if (at.epoch + 1, at.batch) == (epoch, batch):
            os.kill(os.getpid(), number)

    monkeypatch.setattr(ProgressDisplay, "batch", kill)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_stopped_run_continues_to_the_bit(short_run, monkeypatch, setting):
    overrides = SETTINGS[setting]
    whole = short_run("whole", *overrides)
    stop_at(monkeypatch, epoch=2, batch=7)
    cut = short_run("cut", *overrides)
    assert (cut.result.status, cut.result.exit_code) == ("interrupted", 128 + signal.SIGTERM)
    assert cut.summary["status"] == "interrupted"
    assert [line["epoch"] for line in cut.metrics] == [0, 1]
    monkeypatch.undo()
    again = short_run("cut", *overrides, "run.resume=must")
    assert again.result.status == "finished"
    assert "after epoch 1 and 7 mini-batches" in again.output
    assert again.timeless == whole.timeless
    assert again.same_state(whole)


def test_ctrl_c_in_the_first_epoch(short_run, monkeypatch):
    whole = short_run("whole", *WARM)
    stop_at(monkeypatch, epoch=1, batch=1, number=signal.SIGINT)
    cut = short_run("cut", *WARM)
    assert cut.result.exit_code == 130
    monkeypatch.undo()
    assert short_run("cut", *WARM).timeless == whole.timeless


def test_usr2_hands_over_after_the_checkpoint(short_run, monkeypatch):
    """As under submitit, whose own handler requeues the job."""
    whole = short_run("whole", *WARM)
    called = []
    before = signal.signal(signal.SIGUSR2, lambda *_: called.append(True))
    try:
        stop_at(monkeypatch, epoch=2, batch=3, number=signal.SIGUSR2)
        cut = short_run("cut", *WARM)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert called == [True]
    assert cut.result.exit_code == 128 + signal.SIGUSR2
    monkeypatch.undo()
    again = short_run("cut", *WARM, "run.resume=must")
    assert again.timeless == whole.timeless


def test_usr2_alone_stops_with_a_checkpoint(short_run, monkeypatch):
    stop_at(monkeypatch, epoch=1, batch=2, number=signal.SIGUSR2)
    assert short_run("cut", "algorithm=sgd").result.exit_code == 128 + signal.SIGUSR2


def test_another_number_of_threads_is_refused(short_run):
    short_run("a", "algorithm=sgd", "run.epochs=1")
    run = short_run("a", "algorithm=sgd", "run.threads=2")
    assert run.result.exit_code == 2
    assert "run.threads (1 there, 2 now)" in (run.result.message or "")


def test_a_run_can_be_prolonged(short_run):
    whole = short_run("whole", *WARM)
    short_run("cut", *WARM, "run.epochs=1")
    again = short_run("cut", *WARM, "run.epochs=2")
    assert again.timeless == whole.timeless
    assert again.same_state(whole)


def test_a_finished_run_is_not_trained_again(short_run):
    first = short_run("a", "algorithm=sgd")
    stamp = (first.folder / "metrics.jsonl").stat().st_mtime_ns
    again = short_run("a", "algorithm=sgd")
    assert again.result.status == "finished"
    assert "is finished already" in again.output
    assert again.result.summary == first.result.summary
    assert (first.folder / "metrics.jsonl").stat().st_mtime_ns == stamp


def test_sparse_checkpoints_repeat_the_epochs_between(short_run, monkeypatch):
    options = ["algorithm=sgd", "run.epochs=5", "checkpoint.every_epochs=3", "checkpoint.keep=1"]
    whole = short_run("whole", *options)

    def crash(self, at):
        if (at.epoch, at.batch) == (4, 2):
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressDisplay, "batch", crash)
    with pytest.raises(KeyboardInterrupt):
        short_run("cut", *options)
    monkeypatch.undo()
    again = short_run("cut", *options)
    assert "after epoch 3 and 0 mini-batches" in again.output
    assert again.timeless == whole.timeless
    assert again.same_state(whole)


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(short_run):
    whole = short_run("whole", *WARM)
    short_run("cut", *WARM)
    newest = whole.folder.parent / "cut" / "checkpoints" / "epoch00002.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 16
    newest.write_bytes(content)
    again = short_run("cut", *WARM)
    assert "epoch00002.safetensors is damaged" in again.output
    assert again.timeless == whole.timeless
    assert again.same_state(whole)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["optim.lr=0.1"], ["optim.lr (0.05 there, 0.1 now)"]),
        (["run.threads=2", "run.seed=7"], ["run.seed (1 there, 7 now)", "run.threads (1 there"]),
        (["algorithm.gamma=0.2"], ["algorithm.gamma"]),
        (["model.block_types=[D,A,A,A]"], ["model.block_types (["]),
        (["run.epochs=1"], ["run.epochs=1", "in epoch 2 already"]),
    ],
)
def test_another_configuration_is_refused_with_its_keys(short_run, overrides, parts):
    first = short_run("a", *WARM, "data.train_limit=16")
    before = {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()}
    again = short_run("a", *WARM, "data.train_limit=16", *overrides)
    assert (again.result.status, again.result.exit_code) == ("refused", 2)
    for part in parts:
        assert part in (again.result.message or "")
    assert {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()} == before


def test_a_cosine_schedule_can_not_be_prolonged(short_run):
    short_run("a", "algorithm=sgd", "optim.schedule=cosine", "run.epochs=1")
    again = short_run("a", "algorithm=sgd", "optim.schedule=cosine", "run.epochs=2")
    assert "run.epochs (1 there, 2 now)" in (again.result.message or "")


def test_a_moved_folder_goes_on(short_run, tmp_path):
    short_run("a", "algorithm=sgd", "run.epochs=1")
    (tmp_path / "a").rename(tmp_path / "b")
    again = short_run("b", "algorithm=sgd", "checkpoint.keep=5", "run.epochs=2")
    assert [line["epoch"] for line in again.metrics] == [0, 1, 2]


def test_two_jobs_in_one_folder(short_run, tmp_path):
    holder = RunFolder(tmp_path / "a")
    run = short_run("a", "algorithm=sgd")
    assert run.result.exit_code == 2
    assert "another job" in (run.result.message or "")
    holder.close()
    assert short_run("a", "algorithm=sgd").result.status == "finished"


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_at_any_moment(short_run, tmp_path, seed):
    """The moment is random in time, so each execution of this test checks another one."""
    options = [*WARM, "checkpoint.every_minutes=0.002", "data.train_limit=240"]
    whole = short_run("whole", *options)
    folder = tmp_path / "cut"
    command = [
        sys.executable, "-m", "runner", "data=mnist5k", "run.epochs=2", "device.n_states=16",
        *options, f"run.dir={folder}",
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(folder.glob("checkpoints/*.safetensors")) and child.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 0.8))
    child.kill()
    child.wait()
    again = short_run("cut", *options)
    assert again.result.status == "finished"
    assert again.timeless == whole.timeless
    assert again.same_state(whole)
