"""A grid's jobs: alike in every launcher, skipped, continued, survived."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from runner.tracking import read_metrics
from runner.tracking.run_folder import at_work

TINY = ("data=mnist5k", "data.train_limit=60", "data.batch_size=20", "run.epochs=1")
LONG = ("data=mnist5k", "data.train_limit=800", "run.epochs=3", "run.seed=1,2")


def wait_until(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def stamps(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if ".grids" not in p.parts}


def test_launchers_give_the_same_runs_and_finished_ones_are_skipped(grid):
    jobs = (*TINY, "algorithm=resl,sgd")
    one, two = (grid(*jobs, "sweep.dir=basic"), grid(*jobs, "sweep.dir=x", "hydra/launcher=joblib"))
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    assert "2 jobs: 2 finished\n" in two.stdout
    basic = grid.metrics("basic")
    assert sorted(name.split("-")[1] for name in basic) == ["resl", "sgd"]
    assert [len(lines) for lines in basic.values()] == [2, 2]
    assert grid.metrics("x") == basic

    before = stamps(grid.cwd / "x")
    again = grid(*jobs, "sweep.dir=x")
    assert (again.returncode, again.stderr) == (0, "")
    assert "2 jobs: 2 finished earlier\n" in again.stdout
    assert stamps(grid.cwd / "x") == before


def test_jobs_that_die_stop_nothing(grid):
    answer = grid(
        *TINY, "data=crashing", "data.how=abort,raise,kill,not", "sweep.dir=x", "run.epochs=0"
    )
    assert answer.returncode == 1
    assert "4 jobs: 3 failed, 1 finished\n" in answer.stdout
    found = {}
    for path in (grid.cwd / "x").glob("*/summary.json"):
        summary = json.loads(path.read_text())
        found[summary["message"]] = summary["status"], (path.parent / "run.log").read_text()
    assert found.pop(None)[0] == "finished"
    assert {status for status, _ in found.values()} == {"failed"}
    for text in ("killed by SIGABRT", "killed by SIGKILL", "RuntimeError: the images are upside"):
        (message,) = (m for m in found if m.startswith(text))
        assert f"failed: {message}" in answer.stdout
        assert text in found[message][1]


def folders(grid):
    return sorted(p.parent for p in (grid.cwd / "x").glob("*/checkpoints"))


LAUNCHERS = [pytest.param("basic", marks=pytest.mark.slow), "joblib"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_killed_grid_goes_on_to_the_same_bits(grid, launcher):
    jobs = (*LONG, "checkpoint.every_minutes=0.001", f"hydra/launcher={launcher}")
    process = grid.start(*jobs, "sweep.dir=x")
    wait_until(lambda: any(len(read_metrics(f / "metrics.jsonl")) > 1 for f in folders(grid)))
    process.kill()
    process.communicate()
    # The children notice, write their checkpoints and end.
    wait_until(lambda: not any(at_work(f) for f in folders(grid)))
    states = [json.loads((f / "summary.json").read_text())["status"] for f in folders(grid)]
    assert "interrupted" in states
    second = grid(*jobs, "sweep.dir=x")
    assert (second.returncode, second.stderr) == (0, "")
    parallel = "hydra/launcher=joblib"
    assert grid(*jobs, "sweep.dir=undisturbed", parallel).returncode == 0
    assert grid.metrics("x") == grid.metrics("undisturbed")


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_grid_with_checkpoints(grid, launcher, number):
    jobs = (*LONG, "run.epochs=200", "sweep.dir=x", f"hydra/launcher={launcher}")
    process = grid.start(*jobs)
    wait_until(lambda: any(len(read_metrics(f / "metrics.jsonl")) > 1 for f in folders(grid)))
    os.killpg(process.pid, number)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == f"warmtile: {number.name}: stopped; the same command goes on from here\n"
    assert "interrupted" in out
    for folder in folders(grid):
        assert list((folder / "checkpoints").glob("*.safetensors"))
        assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
