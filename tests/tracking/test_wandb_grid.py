"""Jobs of a grid in W&B: one group, and each job a run of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runner.config import load_config
from runner.grid.ledger import Ledger
from runner.tracking.wandb_run import arm


def test_jobs_of_a_grid_are_one_group_and_never_one_run(tmp_path, sittings):
    # What is in somebody's shell would make one run of the jobs, if W&B were left to itself.
    env = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    done = subprocess.run(
        [sys.executable, "-m", "runner", "-m", "algorithm=sgd", "data=mnist5k", "run.epochs=0",
         "run.seed=1,2", "sweep.dir=seeds", "tracking=[wandb]"],
        cwd=tmp_path,
        env={**env, "WANDB_RUN_ID": "theirs", "WANDB_RUN_GROUP": "theirs"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folders = sorted(path.parent for path in tmp_path.glob("seeds/*/summary.json"))
    assert len(folders) == 2
    (one,), (two,) = (sittings(folder) for folder in folders)
    assert one.run.run_id != two.run.run_id
    assert one.run.run_group == two.run.run_group
    assert one.run.run_group.startswith("seeds-")
    assert [one.run.display_name, two.run.display_name] == [folder.name for folder in folders]
    assert {one.config["run"]["seed"], two.config["run"]["seed"]} == {1, 2}


def test_the_group_is_the_same_when_the_grid_goes_on(tmp_path):
    def name(*overrides: str, folder: str = "states") -> str:
        ledger = Ledger.create(tmp_path / folder, overrides)
        ledger.close()
        return ledger.name()

    first = name("algorithm=resl,sgd", "run.seed=1,2")
    assert first.startswith("states-")
    assert name("run.seed=1,2", "algorithm=resl,sgd", "hydra/launcher=joblib") == first
    assert name("algorithm=resl,sgd", "run.seed=1,2", "wandb.mode=online") == first
    assert name("algorithm=resl,sgd", "run.seed=1,2,3") != first
    assert name("algorithm=resl,sgd", "run.seed=1,2", folder="others") != first


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["algorithm=resl", "algorithm.n_tiles=4", "device.n_states=16"],
            "resl, 4 tiles, 16 states",
        ),
        (["algorithm=ttv2", "device=pow_step", "device.dw_min=0.1"], "ttv2, pow_step, 20 states"),
        (["algorithm=analog_sgd", "device=ideal"], "analog_sgd, ideal"),
        (["algorithm=sgd"], "sgd"),
    ],
)
def test_runs_that_differ_in_their_seed_share_an_arm(overrides, expected):
    assert {arm(load_config([*overrides, f"run.seed={seed}"])) for seed in (1, 2)} == {expected}
