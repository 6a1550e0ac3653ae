"""A fit finds the parameters of generated devices again; bad files are told in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pulse_sample
import pytest
import yaml

from runner.config import ConfigError, load_config
from runner.config.devices import FittedConfig
from runner.config.measurement import Trace, read_pulse_csv
from runner.device.__main__ import main
from runner.device.fit import Fit, fit_device
from runner.device.response import pulse_response
from runner.evaluate import evaluate_run

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "pulse_response_generated.csv"
NO_SPREAD = [f"device.{n}=0" for n in ("w_max_dtod", "w_min_dtod", "up_down_dtod", "dw_min_dtod")]


def fitted(model: str, *overrides: str, loops: int = 2, ramp: int = 60) -> Fit:
    """Generate one device from a weight of -0.9 and fit it."""
    device = load_config(["algorithm=analog_sgd", f"device={model}", *NO_SPREAD, *overrides]).device
    pulses = ([1] * ramp + [-1] * ramp) * loops
    weights = pulse_response(device, pulses, 1, start=-0.9, seed=5)[:, 0]
    trace = Trace("", tuple(pulses), tuple(weights))
    return fit_device([trace], FittedConfig(csv="x.csv", model=model, g_min=-1.0, g_max=1.0))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sample() -> Fit:
    traces, _ = read_pulse_csv(SAMPLE)
    return fit_device(traces, FittedConfig(csv=str(SAMPLE), g_min=5.0, g_max=35.0))


def test_the_sample_is_the_generated_one():
    assert SAMPLE.read_text() == pulse_sample.sample()


def test_the_parameters_of_the_sample_are_found_again(sample):
    """400 pulses with 30 % cycle noise on four devices that differ by 10 % in their step.

    The mean step is known to 0.1 / sqrt(4) = 5 % by the devices alone, so 15 % is three standard
    errors; cycle noise moves the asymmetry by about as much again as the devices do. The variance
    of a step's deviation, v = (0.3**2 + 2 * 0.3**2) dw_min**2, has a standard error of
    v sqrt(2 / 400) = 0.019 dw_min**2, the covariance that is subtracted twice one of v / sqrt(400)
    = 0.0135, so 0.3**2 = 0.09 is known to 0.033: three of them are 0.1.
    """
    device = sample.device
    assert device.dw_min == pytest.approx(0.06, rel=0.15)
    assert device.up_down == pytest.approx(0.1, abs=0.1)
    assert device.w_max == pytest.approx(1, abs=0.05)
    assert device.w_min == pytest.approx(-1, abs=0.05)
    assert device.dw_min_std**2 == pytest.approx(0.09, abs=0.1)
    assert device.write_noise_std**2 == pytest.approx(0.09, abs=0.041)  # three of 0.0135
    assert 0 < device.dw_min_dtod < 0.25
    assert (device.w_max_dtod, device.n_states) == (0, None)
    assert 0 < sample.residual < 0.1


@pytest.mark.parametrize(
    ("model", "overrides", "expected"),
    [
        ("soft_bounds", ["device.dw_min=0.05", "device.up_down=-0.2"],
         {"dw_min": 0.05, "up_down": -0.2, "w_max": 1, "w_min": -1}),
        ("linear_step",
         ["device.dw_min=0.04", "device.gamma_up=0.5", "device.gamma_down=0.8",
          "device.gamma_up_dtod=0", "device.gamma_down_dtod=0"],
         {"dw_min": 0.04, "up_down": 0, "slope_up": 0.5, "slope_down": 0.8}),
        ("constant_step", ["device.dw_min=0.028"], {"dw_min": 0.028, "up_down": 0}),
    ],
)  # fmt: skip
def test_without_noise_a_fit_is_exact_to_a_percent(model, overrides, expected):
    fit = fitted(model, *overrides, "device.dw_min_std=0")
    assert fit.residual < 2e-3
    found = dict(fit.values)
    if model == "linear_step":  # gamma refers to the bound, which is the end of the measured range
        found["slope_up"] = found["gamma_up"] / found["w_max"]
        found["slope_down"] = found["gamma_down"] / -found["w_min"]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=0.01, abs=0.01), name
    assert fit.device.dw_min_std < 0.05


def test_a_fit_repeats_to_the_bit(sample):
    traces, _ = read_pulse_csv(SAMPLE)
    again = fit_device(traces, FittedConfig(csv=str(SAMPLE), g_min=5.0, g_max=35.0))
    assert again.device == sample.device


def test_the_command_writes_a_device_that_can_be_chosen(tmp_path, capsys, sample):
    out = tmp_path / "out"
    few = ["--devices", "2", "--cycles", "1", "--pulses", "20", "--out", str(out)]
    argv = ["device=fitted", f"device.csv={SAMPLE}", "device.g_min=5", "device.g_max=35"]
    assert main([*argv, *few]) == 0
    text = capsys.readouterr().out
    assert "residual" in text
    name = "fitted_pulse_response_generated_soft_bounds"
    assert f"device={name}" in text
    assert {"fit.png", "fit.svg", "fit.json"} <= {path.name for path in out.iterdir()}
    assert json.loads((out / "fit.json").read_text())["residual"] == sample.residual
    from runner.config.compose import load_config as compose

    config = compose([f"device={name}", "experiment=lenet5_fashion"], str(out))
    assert config.device == sample.device
    fast = compose([f"fast_device={name}", "fast_device.n_states=20"], str(out)).fast_device
    assert fast == dataclasses.replace(sample.device, n_states=20, dw_min=None)


def test_a_run_on_a_fitted_device(short_run, tmp_path):
    csv = tmp_path / "mine.csv"
    csv.write_text(SAMPLE.read_text())
    overrides = [
        "algorithm=analog_sgd", "device=fitted", f"device.csv={csv}", "device.g_min=5",
        "device.g_max=35",
    ]  # fmt: skip
    first = short_run("run", *overrides)
    assert first.result.status == "finished"
    assert {"device.yaml", "device_fit.json", "device_fit.png"} <= {
        path.name for path in first.folder.iterdir()
    }
    kept = yaml.safe_load((first.folder / "config.yaml").read_text())["device"]
    found = json.loads((first.folder / "device_fit.json").read_text())["device"]
    assert json.loads(kept["parameters"]) == found
    assert yaml.safe_load((first.folder / "device.yaml").read_text()) == found

    # Going on takes what was found before: another fit would write its picture again.
    (first.folder / "device_fit.png").unlink()
    longer = short_run("run", *overrides, "run.epochs=3")
    assert (longer.result.status, longer.summary["epochs"]) == ("finished", 3)
    assert not (first.folder / "device_fit.png").exists()

    csv.write_text(csv.read_text() + "4,up,20.0\n")
    changed = short_run("run", *overrides, "run.epochs=4")
    assert changed.result.status == "refused"
    assert "device.sha256" in str(changed.result.message)

    csv.unlink()
    with pytest.raises(ConfigError, match=r"mine\.csv: does not exist"):
        short_run("run", *overrides)
    assert evaluate_run(first.folder).accuracies == [longer.metrics[-1]["test/accuracy"]]


ROWS = "\n".join(f"{'up' if i % 3 else 'down'},{i % 5}" for i in range(30))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; needs a header with the columns pulse and conductance"),
        ("# only this\n", "is empty"),
        ("pulse,conductance\n", "has a header and no rows"),
        (f"puls,conductance\n{ROWS}", "needs one column pulse; its header has puls, conductance"),
        (f"pulse,G\n{ROWS}", "needs one column conductance"),
        (f"pulse;conductance\n{ROWS}", "needs one column pulse"),
        (f"pulse,conductance\n{ROWS}\nupp,3", "line 32: pulse=upp must be up, down, 1 or -1"),
        (f"pulse,conductance\n{ROWS}\nup,nan", "line 32: conductance=nan must be a finite number"),
        (f"pulse,conductance\n{ROWS}\nup,", "line 32: conductance='' must be a finite number"),
        (f"pulse,conductance\n{ROWS}\nup", "line 32: has 1 values, the header 2"),
        (f"pulse,conductance\n{ROWS}\n0,3", "line 32: pulse 0 stands only in the first row"),
        ("pulse,conductance\nup,1\ndown,2\n", "has 1 pulses; needs at least 20"),
        ("pulse,conductance\n" + "up,1\nup,2\n" * 20, "has no down pulse"),
        ("pulse,conductance\n" + "up,1\ndown,1\n" * 20, "the conductance never changes"),
        ('pulse,conductance\n"up,1\n', "unexpected end of data"),
    ],
)
def test_a_bad_file_is_one_line(text, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text(text)
    assert main(["device=fitted", "device.csv=bad.csv"]) == 2
    err = capsys.readouterr().err
    assert "device.csv=bad.csv: " in err
    assert words in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_files_that_are_no_text(tmp_path):
    for name, content, words in (
        ("binary.csv", b"\xff\xfe\x00\x01", "is not a text in UTF-8"),
        ("folder", None, "can not be read: is a directory"),
    ):
        path = tmp_path / name
        path.mkdir() if content is None else path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            read_pulse_csv(path)


def test_what_a_file_may_say(tmp_path):
    rows = "\n".join(f"{p}, {g}" for p, g in zip(["+1", "-1"] * 15, np.arange(30) % 7, strict=True))
    path = tmp_path / "a.csv"
    path.write_text(f"# source\nPULSE , Conductance\n0,5\n\n# more\n{rows}\n")
    (trace,), sha256 = read_pulse_csv(path)
    assert trace.pulses == (1, -1) * 15
    assert trace.conductance[:3] == (5.0, 0.0, 1.0)
    assert len(sha256) == 64
