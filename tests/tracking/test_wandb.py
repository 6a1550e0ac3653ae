"""What a user sees in W&B, read from the offline files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.config import config_to_dict, load_config
from runner.tracking import JsonLines, ProgressDisplay, read_metrics
from runner.tracking.base import scalars

WARM = [
    "algorithm=resl", "algorithm.n_tiles=3", "algorithm.gamma=0.1", "warm_start.enabled=true",
    "warm_start.rule=every_n", "warm_start.every_n=1", "data.train_limit=32",
]  # fmt: skip
WANDB = "tracking=[wandb]"


def service(parent: int) -> list[int]:
    """Processes of W&B's service that belong to a process."""
    done = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line.split()[0]) for line in done.stdout.splitlines() if "wandb-core" in line]


def test_one_run_as_a_user_sees_it(short_run, sittings, monkeypatch):
    # What somebody's shell says must not make one run of several, or send anything.
    for name, value in {
        "RUN_ID": "theirs", "RUN_GROUP": "theirs", "MODE": "online", "PROJECT": "theirs",
        "NAME": "theirs", "TAGS": "theirs", "JOB_TYPE": "theirs", "RESUME": "must",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"WANDB_{name}", value)
    options = [*WARM, "data.val_fraction=0.1", "wandb.tags=[first try]", "wandb.project=tiles"]
    run = short_run("lenet5-resl", *options, WANDB, picture=True)
    (seen,) = sittings(run.folder)

    assert (seen.run.project, seen.run.run_group, seen.run.job_type) == ("tiles", "", "train")
    assert seen.run.display_name == "lenet5-resl"
    assert list(seen.run.tags) == [
        "lenet5", "resl", "mnist5k", "16 states", "warm start", "first try",
    ]  # fmt: skip
    cfg = load_config(
        [*options, WANDB, "data=mnist5k", "run.epochs=2", "device.n_states=16",
         f"run.dir={run.folder}"]
    )  # fmt: skip
    assert seen.config == {**config_to_dict(cfg), "arm": "resl, 3 tiles, 16 states, warm start"}

    assert seen.scalars == [scalars(line) for line in run.metrics]
    assert [row["_step"] for row in seen.rows] == [0, 1, 2]
    assert [row["warm_start/stage"] for row in seen.rows] == [2, 2, 1]
    assert any(m.glob_name == "*" and m.step_metric == "epoch" for m in seen.metrics)

    weights = seen.histograms("tiles/fc1/device0/conductance")
    positions = seen.histograms("tiles/fc1/device2/position")
    writes = seen.histograms("tiles/pulses_per_cross_point")
    for epoch in (0, 1, 2):
        assert sum(weights[epoch]["values"]) == sum(positions[epoch]["values"]) == 512 * 128
        assert len(weights[epoch]["bins"]) == len(weights[epoch]["values"]) + 1
        assert (positions[epoch]["bins"][0], positions[epoch]["bins"][-1]) == (0, 1)
        assert sum(seen.histograms("tiles/share_at_bound")[epoch]["values"]) == 4 * 3
    assert writes[2]["bins"][-1] > writes[1]["bins"][-1] > writes[0]["bins"][-1] == 0.5

    summary = run.summary
    for part in ("best", "final"):
        for name in ("val/accuracy", "test/accuracy", "epoch"):
            assert seen.summary[f"{part}/{name}"] == summary[part][name]
    assert seen.summary["run/status"] == "finished"
    assert seen.exit_code == 0
    assert seen.system
    assert any("memory" in name for name in seen.system[0])

    (artifact,) = seen.artifacts
    assert artifact.type == "run"
    files = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert set(files) == {"config.yaml", "metrics.jsonl", "summary.json", "curves.png"}
    for name, path in files.items():
        assert path.is_relative_to(run.folder / "wandb")
        assert path.read_bytes() == (run.folder / name).read_bytes()


def test_a_continued_run_is_the_same_run_there(short_run, sittings, monkeypatch):
    options = [*WARM, "run.epochs=3"]
    whole = short_run("whole", *options)

    def stop(self, at):
        if (at.epoch, at.batch) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressDisplay, "batch", stop)
        assert short_run("a", *options, WANDB).result.status == "interrupted"
    # Settings of trackers may differ: they decide nothing about the run.
    run = short_run("a", *options, WANDB, "wandb.tags=[again]", "checkpoint.keep=1")
    assert run.result.status == "finished"
    assert run.timeless == whole.timeless
    assert run.same_state(whole)
    first, second = sittings(run.folder)
    assert first.run.run_id == second.run.run_id
    assert second.run.resume
    assert (first.exit_code, first.summary["run/status"]) == (1, "interrupted")
    assert (second.exit_code, second.summary["run/status"]) == (0, "finished")
    assert [*first.scalars, *second.scalars] == [scalars(line) for line in run.metrics]
    assert [row["epoch"] for row in second.rows] == [2, 3]


def test_another_run_in_the_same_folder_is_another_run_there(short_run, sittings):
    a = short_run("a", "algorithm=sgd", "run.epochs=0", "data.train_limit=32", WANDB)
    before = sittings(a.folder)[0].run.run_id
    assert not (a.folder / "checkpoints").exists()
    b = short_run("a", "algorithm=sgd", "run.epochs=0", "data.train_limit=40", WANDB)
    assert sittings(b.folder)[-1].run.run_id != before


def test_turned_on_later_it_has_the_earlier_epochs_too(short_run, sittings):
    short_run("a", "algorithm=sgd", "run.epochs=1", "data.train_limit=32")
    run = short_run("a", "algorithm=sgd", "run.epochs=2", "data.train_limit=32", WANDB)
    (seen,) = sittings(run.folder)
    assert seen.scalars == [scalars(line) for line in run.metrics]


@pytest.mark.timeout(700)  # seconds on a quiet machine
@pytest.mark.slow
def test_its_service_dies_and_the_run_goes_on(tmp_path, short_run, sittings):
    options = [*WARM, "run.epochs=16", "data.train_limit=16"]
    plain = short_run("plain", *options)
    folder = tmp_path / "run"
    process = start(folder, *options)
    wait_for_lines(folder, 3)
    (pid,) = service(process.pid)
    os.kill(pid, signal.SIGKILL)
    out, said = process.communicate(timeout=200)
    assert (process.returncode, said) == (0, "")  # no traceback at the end of the process either
    assert out.count("Wandb failed and is left out from now on") == 1
    record = [
        {name: value for name, value in line.items() if not name.startswith("time/")}
        for line in read_metrics(folder / "metrics.jsonl")
    ]
    assert record == plain.timeless
    (seen,) = sittings(folder)
    assert seen.exit_code is None
    assert len(seen.rows) < len(record)


def test_an_error_of_the_program_closes_the_run_there(short_run, sittings, monkeypatch):
    def broken(self, metrics):
        if metrics["epoch"] == 1:
            raise RuntimeError("broken")
        original(self, metrics)

    original = JsonLines.epoch
    monkeypatch.setattr(JsonLines, "epoch", broken)
    run = short_run("a", "algorithm=sgd", "data.train_limit=32", WANDB)
    assert run.result.status == "failed"
    (seen,) = sittings(run.folder)
    assert (seen.exit_code, seen.summary["run/status"]) == (1, "failed")
    assert seen.summary["run/message"].startswith("RuntimeError: broken")
    assert [row["epoch"] for row in seen.rows] == [0]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB: enough to start on, too small for the histograms."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_its_disk_is_full_and_the_run_goes_on(short_run, small_disk):
    options = [*WARM, "run.epochs=6", "data.train_limit=16"]
    plain = short_run("plain", *options)
    run = short_run("a", *options, WANDB, f"wandb.dir={small_disk}")
    assert os.statvfs(small_disk).f_bavail == 0
    assert run.result.status == "finished"
    assert run.timeless == plain.timeless


@pytest.mark.timeout(700)  # seconds on a quiet machine
def test_killed_runs_can_be_read_and_leave_no_process(tmp_path, sittings):
    folder = tmp_path / "run"
    for number, status in ((signal.SIGKILL, -9), (signal.SIGTERM, 128 + 15)):
        process = start(folder, *WARM, "run.epochs=500", "data.train_limit=16")
        wait_for_lines(folder, n_lines(folder) + 4)
        pids = service(process.pid)
        assert len(pids) == 1
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
        assert process.returncode == status
        assert "Traceback" not in said
        until = time.monotonic() + 50
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
            time.sleep(0.1)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    killed, stopped = sittings(folder)
    assert killed.run.run_id == stopped.run.run_id
    assert killed.exit_code is None  # `wandb sync` makes a failed run of it
    assert stopped.exit_code == 1
    # What the kill kept from the disk, the next sitting has sent again.
    epochs = {row["epoch"] for row in [*killed.rows, *stopped.rows]}
    assert epochs == set(range(n_lines(folder)))
    assert stopped.summary["run/status"] == "interrupted"


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Begin a run with W&B in a process of its own."""
    # A child would use the service of this process, which W&B names there.
    env = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    base = ["data=mnist5k", "device.n_states=16", f"run.dir={folder}", WANDB]
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *base, *options],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(folder: Path, lines: int) -> None:
    """Wait until so many epochs are in the record."""
    until = time.monotonic() + 250
    while n_lines(folder) < lines:
        assert time.monotonic() < until
        time.sleep(0.05)


def n_lines(folder: Path) -> int:
    """Epochs in the record."""
    return len(read_metrics(folder / "metrics.jsonl"))
