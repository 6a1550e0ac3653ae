"""What runs come to, as numbers."""

from __future__ import annotations

import pytest

from runner.errors import UserError
from runner.report.collect import find_runs, read_run_folder, telling_keys
from runner.report.tables import (
    accuracy_grid,
    differences_table,
    failures_table,
    final_table,
    group_runs,
    runs_table,
    writes_table,
)
from runner.tracking import RunFolder


def test_mean_deviation_and_n_of_the_finished_runs(six_runs):
    table = final_table(group_runs(find_runs([six_runs])))
    assert list(table["algorithm.name"]) == ["resl", "sgd"]
    assert list(table["runs"]) == [2, 4]
    assert list(table["n"]) == [2, 2]
    assert list(table["test accuracy, %"]) == pytest.approx([82, 96])
    assert list(table["sd"]) == pytest.approx([2 * 2**0.5, 2**0.5])
    assert list(table["peak memory, MB"]) == [400, 400]


def test_one_name_stands_for_all_that_follows_from_it(six_runs):
    runs = find_runs([six_runs])
    assert telling_keys(runs) == ["algorithm.name"]
    table = differences_table(runs)
    assert "algorithm.n_tiles" in set(table["key"])
    assert table.set_index("key").loc["algorithm.name", "values (runs)"] == "resl (2), sgd (4)"
    # What all runs share, the seed and the folder are not listed.
    assert not {"data.name", "run.seed", "run.dir"} & set(table["key"])


def test_failed_and_damaged_runs_say_why(six_runs):
    table = failures_table(find_runs([six_runs])).set_index("state")
    assert set(table.index) == {"failed", "damaged"}
    assert table.loc["failed", "what happened"] == "killed <b>"
    assert "metrics.jsonl can not be read" in str(table.loc["damaged", "what happened"])
    assert len(runs_table(find_runs([six_runs]))) == 6


def test_states_in_columns(make_run, tmp_path):
    for states, accuracy in ((4, 0.5), (16, 0.8), (10, 0.7)):
        for seed in (1, 2):
            make_run([0.1, accuracy + 0.01 * seed], f"device.n_states={states}", f"run.seed={seed}")
    make_run([0.1, 0.9], "device.n_states=10", "algorithm=analog_sgd")
    grid = accuracy_grid(group_runs(find_runs([tmp_path / "runs"])))
    assert grid is not None
    assert list(grid.columns[1:]) == ["n_states=4", "n_states=10", "n_states=16"]
    assert dict(zip(grid.iloc[:, 0], grid["n_states=10"], strict=True)) == {
        "analog_sgd": "90.0 (1)",
        "resl": "71.5 ± 0.7 (2)",
    }


def test_writes_by_layer_and_device(six_runs):
    table = writes_table(group_runs(find_runs([six_runs])))
    assert list(table["device"]) == [0, 1]
    assert list(table["pulses"]) == [200, 400]
    assert list(table["n"]) == [2, 2]


def test_a_run_at_work_and_one_that_died(make_run):
    path = make_run([0.1, 0.5], status=None)
    assert read_run_folder(path).state == "unfinished"
    folder = RunFolder(path)
    assert read_run_folder(path).state == "running"
    folder.close()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "["),
        ("config.yaml", "text"),
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("metrics.jsonl", "[1]\n"),
        ("metrics.jsonl", '{"epoch": null}\n'),
    ],
)
def test_no_file_can_stop_a_report(make_run, name, content):
    path = make_run([0.1, 0.5])
    (path / name).write_text(content)
    run = read_run_folder(path)
    assert run.state == "damaged"
    assert name in run.message
    assert "\n" not in run.message


def test_no_run_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        find_runs([tmp_path])
    with pytest.raises(UserError, match="no such folder"):
        find_runs([tmp_path / "absent"])
