"""What `python -m runner.device` measures is what the device models say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.config import load_config
from runner.device.__main__ import main
from runner.device.options import output_folder
from runner.device.response import _tile, behaviour, pulse_response, quiet

NO_SPREAD = [
    f"device.{name}=0"
    for name in ("dw_min_dtod", "dw_min_std", "w_max_dtod", "w_min_dtod", "up_down_dtod")
]


def device(*overrides: str) -> Any:
    return load_config(["algorithm=analog_sgd", *overrides]).device


def test_soft_bounds_follow_their_formula():
    """Up: w_max - (w_max - w0) (1 - dw_min / w_max)**p; down with dw_min (1 - up_down)."""
    soft = device("device=soft_bounds", "device.dw_min=0.1", "device.up_down=0.2", *NO_SPREAD)
    weights = pulse_response(soft, [1] * 15 + [-1] * 15, 3, start=-0.5)
    up = 1 - 1.5 * (1 - 0.1) ** np.arange(16)
    down = -1 + (1 + up[-1]) * (1 - 0.08) ** np.arange(1, 16)
    expected = np.concatenate([up, down])
    np.testing.assert_allclose(weights, np.tile(expected[:, None], 3), atol=2e-6)


@pytest.mark.parametrize(("up_down", "point"), [(0.0, 0.0), (0.2, 0.2 / 1.8), (-0.4, -0.4 / 1.6)])
def test_the_symmetry_point_of_soft_bounds(up_down, point):
    """(a+ - a-) / (a+ / w_max - a- / w_min) = up_down / (2 - |up_down|) for bounds of -1 and 1."""
    soft = device(
        "device=soft_bounds", "device.dw_min=0.02", f"device.up_down={up_down}", *NO_SPREAD
    )
    found = behaviour(soft, n_devices=2, n_cycles=1)
    assert found.symmetry_point == pytest.approx([point] * 2, abs=0.005)
    assert found.step == pytest.approx([0.02 * (1 - abs(point))] * 2, rel=0.02)
    reached = found.upper - found.lower
    assert reached == pytest.approx([2, 2], rel=0.03)
    assert found.states == pytest.approx(reached / found.step)
    assert found.alternating.mean[-1] == pytest.approx(point, abs=0.03)


def test_constant_steps_have_no_symmetry_point_and_all_their_states():
    constant = device(
        "device=constant_step", "device.n_states=50", "device.up_down=0.1", *NO_SPREAD
    )
    found = behaviour(constant, n_devices=2, n_cycles=1)
    assert np.isnan(found.symmetry_point).all()
    assert found.states == pytest.approx([50 / 0.95] * 2, rel=1e-3)  # steps of 1 and 0.9


def test_the_same_seed_gives_the_same_bits():
    ours = device("device=reram_array_om")
    one, two, other = (behaviour(ours, 4, 2, ramp=30, seed=seed) for seed in (1, 1, 2))
    assert (one.up_down.weights == two.up_down.weights).all()
    assert (one.states == two.states).all()
    assert (one.lower != other.lower).all()
    assert not (one.up_down.weights[0] == one.up_down.weights[1]).all()  # cycles differ


@pytest.mark.parametrize("name", ["soft_bounds", "reram_es", "pow_step", "piecewise_step"])
def test_the_twin_without_noise_is_the_same_device(name):
    ours = device(f"device={name}")
    noisy, twin = (_tile(d, 4, 7).get_hidden_parameters() for d in (ours, quiet(ours)))
    assert noisy.keys() >= twin.keys()
    compared = [key for key in twin if "persistent" not in key]
    assert len(compared) >= 4
    for key in compared:
        assert (noisy[key] == twin[key]).all(), key


@pytest.mark.parametrize("overrides", ["device=pcm", ""])
def test_the_command_writes_pictures_and_tables(overrides, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--devices", "3", "--cycles", "2", "--pulses", "40", "--out", str(out)]
    assert main([*overrides.split(), *options]) == 0
    assert "effective number of states" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "device.yaml", "response.csv", "response.png", "response.svg", "steps.csv", "summary.csv",
        "turns.csv",
    ]  # fmt: skip
    rows = list(csv.DictReader((out / "response.csv").read_text().splitlines()))
    assert len(rows) == 81
    assert [rows[0]["polarity"], rows[1]["polarity"], rows[-1]["polarity"]] == ["-", "up", "down"]
    assert all(np.isfinite(float(row["weight"])) for row in rows)


@pytest.mark.parametrize("name", ["piecewise_step", "pow_step_reference", "reram_sb", "ecram"])
def test_every_kind_of_device_can_be_measured(name):
    found = behaviour(device(f"device={name}"), n_devices=4, n_cycles=1, ramp=60)
    assert np.isfinite(found.up_down.weights).all()
    assert (found.upper > found.lower).all()
    assert (found.states[np.isfinite(found.states)] > 1).all()


def test_the_folder_is_named_by_all_that_counts():
    counts = {"n_devices": 2, "n_cycles": 1, "ramp": 20, "seed": 1}
    soft, other = device("device=soft_bounds"), device("device.up_down=0.1")
    names = [
        output_folder(None, d, {**counts, "seed": s}) for d, s in ((soft, 1), (soft, 2), (other, 1))
    ]
    assert len(set(names)) == 3
    assert output_folder(None, soft, counts) == names[0]
    assert output_folder("here", soft, counts) == Path("here")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("device=ideal", "device=ideal: has no pulse response"),
        ("device=soft_bound", "nearest valid: soft_bounds"),
        ("device.n_states=1", "device.n_states=1: must be at least 2"),
        ("device=pcm device.mult_noise=true", "device=pcm has no such key"),
        ("algorithm=resl", "algorithm=resl: is not a key of a device"),
        ("+device.foo=1", "+device.foo=1: unknown key"),
        ("device", "device=null: must be key=value"),
        ("--devices 0", "--devices=0: must be 1 to 1024 (nearest valid: 1)"),
        ("--pulses many", "--pulses=many: must be a whole number"),
        ("--foo", "--foo"),
        ("--out file/x", "--out=file/x"),
        ("--config-dir nowhere", "--config-dir=nowhere: is not a folder"),
        ("device=fitted", "device=fitted needs a file"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(argv, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(argv.split()) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
