"""The demonstration, in small."""

from __future__ import annotations

import json

import pytest

from runner import demo
from runner.tracking import RunFolder

SMALL = ["data.train_limit=40", "run.epochs=2"]


def test_three_runs_a_table_and_a_picture_and_nothing_twice(tmp_path, capsys):
    arguments = ["--dir", str(tmp_path), *SMALL]
    folders = {run.label: run.run_dir for run in demo.plan(tmp_path, SMALL)}

    # Another job sits in one of the folders: that run is named, the others are kept.
    holder = RunFolder(folders["digital"])
    assert demo.main(arguments) == 1
    holder.close()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("demo: digital: warmtile: run.dir=")

    assert demo.main(arguments) == 0
    output = capsys.readouterr().out
    assert output.count("finished earlier, not trained again") == 2
    assert "digital: epoch 2/2" in output
    for label, folder in folders.items():
        assert json.loads((folder / "summary.json").read_text())["epochs"] == 2
        assert f"│ {label} " in output
        assert str(folder) in output
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
    assert demo.main(arguments) == 0
    assert capsys.readouterr().out.count("finished earlier, not trained again") == 3
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")} == stamps


def test_a_wrong_override_is_one_line(tmp_path, capsys):
    assert demo.main(["--dir", str(tmp_path), "run.epoch=2"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "run.epochs" in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_configuration_has_another_folder(tmp_path):
    a = demo.plan(tmp_path, ["run.seed=1"])
    b = demo.plan(tmp_path, ["run.seed=2"])
    assert not {run.run_dir for run in a} & {run.run_dir for run in b}


@pytest.mark.parametrize("name", demo.EXPERIMENTS)
def test_presets_exist(name, tmp_path):
    experiment, _ = demo.EXPERIMENTS[name]
    runs = {run.overrides[0]: run.cfg for run in demo.plan(tmp_path, [])}
    cfg = runs[f"experiment={experiment}"]
    assert cfg.data.name == "mnist5k"
    assert cfg.warm_start.enabled == (name == "warm_start")
