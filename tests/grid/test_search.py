"""Searches with Optuna: killed and continued, with trials that fail, refused without validation."""

from __future__ import annotations

import os
import signal

import pytest
import yaml

pytest.importorskip("optuna", reason="the extra optuna is not installed")

SEARCH = (
    "hydra/sweeper=optuna",
    "data=crashing",
    "data.how=choice(not,raise)",
    "data.train_limit=100",
    "data.val_fraction=0.4",
    "run.epochs=1",
    "algorithm.gamma=tag(log, interval(0.1, 0.9))",
    "algorithm.n_tiles=int(interval(2, 3))",
    "hydra.sweeper.n_startup_trials=1",
)


def study(grid, sweep_dir: str) -> dict:
    (path,) = (grid.cwd / sweep_dir).glob("search-*.yaml")
    return yaml.safe_load(path.read_text())


def trials(grid, sweep_dir: str) -> list[dict]:
    """Every trial without the name of its folder's parent."""
    found = study(grid, sweep_dir)["trials"]
    return [{k: v for k, v in trial.items() if k != "run_dir"} for trial in found]


def test_a_killed_search_ends_as_an_undisturbed_one(grid, until):
    wanted = (*SEARCH, "hydra.sweeper.n_trials=3")
    command = grid.start(*wanted, "sweep.dir=x")
    until(lambda: command.poll() is not None or len(grid.records("x")) == 2)
    assert command.poll() is None, command.communicate()
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    until(lambda: not grid.processes())
    assert len(grid.summaries("x")) < 3
    again = grid(*wanted, "sweep.dir=x")
    undisturbed = grid(*wanted, "sweep.dir=y")
    assert again.stderr == undisturbed.stderr == ""
    assert trials(grid, "x") == trials(grid, "y")
    assert [trial["number"] for trial in trials(grid, "x")] == [0, 1, 2]
    assert grid.metrics("x") == grid.metrics("y")

    # A trial that failed is one without a value, and the exit status tells of it.
    found = trials(grid, "x")
    bad = [trial for trial in found if trial["state"] == "fail"]
    assert len(grid.summaries("x")) == 3
    assert [trial["params"]["data.how"] for trial in bad] == ["raise"] * len(bad)
    assert all("upside down" in trial["message"] for trial in bad)
    good = [trial for trial in found if trial["state"] == "complete"]
    assert len(good) + len(bad) == 3
    assert undisturbed.returncode == (1 if bad else 0)
    # What is maximised is of the validation images, never of the test.
    values = {s["best"]["val/accuracy"] for s in grid.summaries("x").values() if "best" in s}
    assert {trial["val/accuracy"] for trial in good} == values
    assert study(grid, "x")["best"]["val/accuracy"] == max(values)

    # All trials are there: nothing is left to do. Asked for one more, it makes one more.
    assert "no job yet" in grid(*wanted, "sweep.dir=x").stdout
    more = grid(*SEARCH, "hydra.sweeper.n_trials=4", "sweep.dir=x")
    assert "1 jobs: 1 " in more.stdout
    assert trials(grid, "x")[:3] == found


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("data.val_fraction=0",),
            "data.val_fraction=0.0: a search goes by val/accuracy, never by the test: set aside "
            "validation images (nearest valid: data.val_fraction=0.1)",
        ),
        (("hydra.sweeper.n_trials=0",), "hydra.sweeper.n_trials=0: must be at least 1"),
        (
            ("hydra.sweeper.n_trial=3",),
            "hydra.sweeper.n_trial=3: there is no such key; there are n_trials, n_jobs, "
            "n_startup_trials, seed, study, params (nearest valid: hydra.sweeper.n_trials)",
        ),
        (
            ("algorithm.gamma=interval(0.1, 3)",),
            "algorithm.gamma=3.0: must be at least 0.001 and at most 1 (nearest valid: 1)",
        ),
    ],
)
def test_a_search_that_can_not_be_is_one_line(grid, overrides, message):
    answer = grid("sweep=search", *overrides, "sweep.dir=x")
    assert (answer.returncode, answer.stderr) == (2, f"warmtile: {message}\n")
    assert not (grid.cwd / "x").exists()


def test_two_commands_do_not_share_a_search(grid, until):
    command = grid.start(*SEARCH, "run.epochs=500", "data.how=not", "sweep.dir=x")
    until(lambda: command.poll() is not None or grid.records("x"))
    assert command.poll() is None, command.communicate()
    second = grid(*SEARCH, "run.epochs=500", "data.how=not", "sweep.dir=x")
    assert second.returncode == 2
    assert "another command is at this search" in second.stderr
    assert second.stderr.count("\n") == 1
    os.killpg(command.pid, signal.SIGTERM)
    command.communicate(timeout=120)
