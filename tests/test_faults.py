"""What goes wrong outside: the run says it in one line, and what was saved stays."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.tracking import ProgressDisplay
from runner.training.checkpoint import CheckpointStore

ROOT = Path(__file__).resolve().parents[1]
CHAIN = ["algorithm=resl", "algorithm.n_tiles=4"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB: a few checkpoints of four tiles overfill it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_and_the_same_end_once_it_is_emptied(small_disk, short_run):
    options = [*CHAIN, "run.epochs=7", "data.train_limit=64"]
    whole = short_run("whole", *options)
    folder = small_disk / "run"
    cut = short_run("cut", *options, f"run.dir={folder}", "checkpoint.keep=9")
    assert (cut.result.status, cut.result.exit_code) == ("failed", 1)
    assert "No space left on device" in (cut.result.message or "")
    store = CheckpointStore(folder / "checkpoints", keep=9)
    loaded, complaints = store.newest()
    assert loaded is not None
    assert complaints == []
    epochs = [line["epoch"] for line in cut.metrics]
    assert epochs == list(range(len(epochs)))
    assert len(epochs) > loaded.document["position"]["epoch"] >= 1
    for path in store.files()[1:]:
        path.unlink()
    again = short_run("cut", *options, f"run.dir={folder}", "checkpoint.keep=1")
    assert again.result.status == "finished"
    assert again.timeless == whole.timeless
    assert again.same_state(whole)


def test_the_folder_vanishes(short_run, monkeypatch, tmp_path):
    before = ProgressDisplay.epoch

    def vanish(self, metrics):
        before(self, metrics)
        if metrics["epoch"] == 1:
            shutil.rmtree(tmp_path / "a")

    monkeypatch.setattr(ProgressDisplay, "epoch", vanish)
    run = short_run("a", *CHAIN)
    assert (run.result.status, run.result.exit_code) == ("failed", 1)
    assert "No such file" in (run.result.message or "")
    assert "\n" not in (run.result.message or "")


def test_no_memory(tmp_path):
    """An allocation that the system refuses is one line, and the folder says what happened."""
    command = [
        sys.executable, "-m", "runner", "model=resnet18", "data=fake", "algorithm.n_tiles=2",
        "data.test_batch_size=256", "run.epochs=1", f"run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    limit = 3 * 2**29
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("warmtile: ")
    assert "memory" in last.lower() or "alloc" in last.lower()
    assert "Traceback" not in done.stderr
