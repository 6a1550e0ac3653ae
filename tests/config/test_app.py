"""From a correct command line to the jobs, through Hydra."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from runner.config import ConfigError, config_from_dict, load_config
from runner.config.compose import Composer
from runner.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_one_run_gets_the_checked_configuration(cli, jobs, tmp_path):
    overrides = ["experiment=lenet5_demo_chain", "device.dw_min=0.5", "run.threads=2"]
    answer = cli(*overrides)
    assert answer.status == 0
    assert jobs.seen == [load_config(overrides)]
    assert list(tmp_path.iterdir()) == []


def test_threads_are_told_before_the_job_starts(cli, jobs):
    cli("run.threads=3")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert os.environ[name] == "3"


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (3, 3), (130, 130)])
def test_the_exit_status_is_the_runs(cli, jobs, code, expected):
    jobs.exit_code = code
    assert cli("run.seed=1").status == expected


def test_what_went_wrong_is_said_in_one_line(cli, jobs):
    jobs.exit_code, jobs.message = 3, "loss is\nnot finite"
    answer = cli("run.seed=1")
    assert answer.err == "warmtile: loss is not finite\n"


def test_a_users_mistake_that_only_the_job_sees(cli, jobs):
    jobs.error = UserError("data.root=x: damaged")
    answer = cli("run.seed=1")
    assert (answer.status, answer.err) == (2, "warmtile: data.root=x: damaged\n")


def test_an_interrupt_ends_quietly(cli, jobs):
    jobs.error = KeyboardInterrupt()
    answer = cli("run.seed=1")
    assert (answer.status, answer.err) == (130, "warmtile: interrupted\n")


def test_a_grid_runs_every_job_in_order(cli, jobs, tmp_path):
    arguments = ["algorithm=resl,analog_sgd", "device.dw_min=0.5,0.2", "run.seed=range(0,2)"]
    answer = cli("-m", *arguments)
    assert answer.status == 0
    assert [
        (config.algorithm.name, config.device.dw_min, config.run.seed) for config in jobs.seen
    ] == [(a, d, s) for a in ("resl", "analog_sgd") for d in (0.5, 0.2) for s in (0, 1)]
    assert all(config.device.n_states is None for config in jobs.seen)
    assert len({config.run.dir for config in jobs.seen}) == 8
    # What was checked beforehand is what ran.
    assert Composer().grid(arguments) == (jobs.seen, True)


def test_mode_by_override(cli, jobs):
    assert cli("hydra.mode=MULTIRUN", "run.seed=1,2").status == 0
    assert [config.run.seed for config in jobs.seen] == [1, 2]


def test_options_and_overrides_in_any_order(cli, jobs):
    assert cli("run.epochs=2", "-m", "run.seed=1,2").status == 0
    assert [(config.run.seed, config.run.epochs) for config in jobs.seen] == [(1, 2), (2, 2)]


def test_interpolation(cli, jobs):
    cli("optim.lr=${algorithm.gamma}", "algorithm.gamma=0.3")
    assert jobs.seen[0].optim.lr == 0.3


def test_cfg_prints_a_configuration_that_can_be_read_back(cli, jobs):
    answer = cli("--cfg", "job", "experiment=lenet5_demo_chain", "device.dw_min=0.5")
    assert (answer.status, jobs.seen) == (0, [])
    shown = config_from_dict(yaml.safe_load(answer.out))
    assert shown.device == load_config(["device.dw_min=0.5"]).device
    assert cli("--cfg", "job", "--package", "run").out.splitlines()[1] == "dir: auto"
    assert "sweep" in cli("--cfg", "hydra").out


def test_a_grids_preset_starts_a_grid_or_is_shown(cli, jobs, tmp_path):
    answer = cli("sweep=seeds", "run.epochs=3", "--cfg", "job")
    assert (answer.status, jobs.seen, list(tmp_path.iterdir())) == (0, [], [])
    assert yaml.safe_load(answer.out)["sweep"]["dir"] == "runs/seeds"
    assert cli("sweep=seeds", "run.seed=range(0,2)", "run.epochs=3").status == 0
    assert [(config.run.seed, config.run.epochs) for config in jobs.seen] == [(0, 3), (1, 3)]
    assert all(config.run.dir.startswith("runs/seeds/lenet5-resl-") for config in jobs.seen)


def test_info_version_help(cli, jobs, tmp_path):
    assert "algorithm/resl" in cli("--info", "defaults").out
    assert cli("--version").out.startswith("warmtile 0.1.0 (Hydra 1.3")
    answer = cli("--help")
    for text in ("soft_bounds", "lenet5_demo_warm_start", "warm_start.rule", "--multirun"):
        assert text in answer.out
    assert "Hydra" in cli("--hydra-help").out
    assert jobs.seen == []
    assert list(tmp_path.iterdir()) == []


def test_help_goes_before_a_mistake(cli):
    answer = cli("algorithm=resll", "--help")
    assert (answer.status, answer.err) == (0, "")


@pytest.fixture
def own_groups(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /data: mnist5k\noptim:\n  lr: 1e-2\n"
    )
    (folder / "experiment" / "wrong.yaml").write_text("# @package _global_\noptim:\n  lrr: 1\n")
    (folder / "experiment" / "broken.yaml").write_text("# @package _global_\noptim: [\n")
    (folder / "experiment" / "absent.yaml").write_text("defaults:\n  - override /data: cifar\n")
    return folder


@pytest.mark.parametrize("how", ["--config-dir={}", "hydra.searchpath=[file://{}]"])
def test_ones_own_folder_of_groups(cli, jobs, own_groups, how):
    assert cli(how.format(own_groups), "experiment=mine").status == 0
    assert (jobs.seen[0].data.name, jobs.seen[0].optim.lr) == ("mnist5k", 0.01)


@pytest.mark.parametrize(
    ("experiment", "text"),
    [
        ("wrong", "optim.lrr=1: unknown key (nearest valid: optim.lr)"),
        ("broken", "experiment=broken: "),
        ("absent", "experiment=absent: "),
    ],
)
def test_a_mistake_in_ones_own_folder(cli, jobs, own_groups, experiment, text):
    answer = cli("--config-dir", str(own_groups), f"experiment={experiment}")
    assert answer.status == 2
    assert answer.err.startswith(f"warmtile: {text}")
    assert answer.err.count("\n") == 1


def test_a_sweep_in_ones_own_primary_configuration(cli, jobs, own_groups):
    text = (
        "defaults:\n  - config\n  - _self_\nhydra:\n  sweeper:\n    params:\n      run.seed: {}\n"
    )
    (own_groups / "primary.yaml").write_text(text.format("4,5"))
    options = ["--config-dir", str(own_groups), "--config-name", "primary", "-m"]
    assert cli(*options).status == 0
    assert [config.run.seed for config in jobs.seen] == [4, 5]
    (own_groups / "primary.yaml").write_text(text.format("4,x"))
    assert cli(*options).err.startswith("warmtile: run.seed=x: must be a whole number")
    assert cli(*options, "run.seed=6").status == 0
    assert jobs.seen[-1].run.seed == 6


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("optim.lr=interval(0.01,2000)", r"optim\.lr=2000"),
        ("algorithm.gamma=choice(0.1,0.2,3)", r"algorithm\.gamma=3"),
        ("run.seed=range(0,3)", None),
    ],
)
def test_what_a_search_sweeper_may_choose_is_checked(wrong, text):
    overrides = ["hydra.sweeper._target_=some.SearchSweeper", "run.epochs=1,2", wrong]
    if text is None:
        seeds = {(config.run.epochs, config.run.seed) for config in Composer().grid(overrides)[0]}
        assert seeds == {(1, 0), (2, 0), (1, 1), (1, 2)}
        return
    with pytest.raises(ConfigError, match=text):
        Composer().grid(overrides)


def test_ctrl_c_while_checking(tmp_path):
    """A signal in the middle of a large grid's check: status 130 and no traceback."""
    # A shell that put these tests into the background has made SIGINT ignored, for children too.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "-m", "run.seed=range(0,90000)"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    with process:
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err


def test_the_groups_inside_an_installed_package(tmp_path):
    """A wheel carries conf/ as runner/conf; the checkout is out of reach here."""
    site = tmp_path / "site"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "runner", site / "runner", ignore=ignore)
    shutil.copytree(ROOT / "conf", site / "runner" / "conf")
    done = subprocess.run(
        [sys.executable, "-m", "runner", "--cfg", "job", "algorithm=sgd"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert yaml.safe_load(done.stdout)["algorithm"] == {"name": "sgd"}
