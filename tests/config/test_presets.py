"""The YAML groups, their experiments and the key reference agree with the dataclasses."""

# A device is one of many typed ones; here it is known which.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from runner.config import Config, ConfigError, config_to_dict, describe_keys, load_config
from runner.config.compose import Composer
from runner.config.describe import markdown
from runner.config.folders import conf_dir
from runner.config.schema import AnalogSGDConfig, DeviceConfig, FPSGDConfig, ReslConfig, SGDConfig
from runner.config.values import flatten

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = sorted(
    f"{path.parent.name}={path.stem}" for path in conf_dir().glob("*/*.yaml") if path.is_file()
)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes(option):
    colour = option.startswith(("data=fake", "data=cifar"))
    also = ["model=resnet18"] if colour else []
    if option == "device=fitted":
        also.append(f"device.csv={ROOT / 'docs' / 'pulse_response_generated.csv'}")
    if option in ("device=ideal", "device=pcm"):
        also.append("algorithm=analog_sgd")
    config = load_config([option, *also])
    group, _, name = option.partition("=")
    if group in ("model", "algorithm", "device", "io", "data"):
        assert getattr(config, group).name == name


def test_the_default_run_has_the_defaults_of_the_dataclasses():
    composed = flatten(config_to_dict(load_config()))
    declared = flatten(config_to_dict(Config()))
    differing = {key for key in composed if composed[key] != declared[key]}
    assert composed.keys() == declared.keys()
    assert differing == {"device.n_states", "run.dir"}
    assert composed["device.n_states"] == 10


def test_every_option_file_says_where_its_numbers_come_from():
    for path in conf_dir().glob("*/*.yaml"):
        assert path.read_text().startswith("#"), path


def test_the_recipe_on_the_command_line():
    """Pins the recipe of the paper for LeNet-5 on MNIST: arXiv 2510.02516."""
    command = (
        "model=lenet5 algorithm=resl algorithm.n_tiles=6 device.n_states=10 "
        "warm_start.enabled=false data=mnist run.epochs=1 run.seed=1"
    )
    config = load_config(command.split())
    algorithm = config.algorithm
    assert isinstance(algorithm, ReslConfig)
    assert algorithm.gamma_vec == [0.5**5, 0.5**4, 0.5**3, 0.5**2, 0.5, 1.0]
    assert algorithm.transfer_every_vec == [2, 10, 50, 250, 1250, 6250]
    assert algorithm.transfer_lr_vec == pytest.approx(
        [0.1 * 1.2**5, 0.1 * 1.2**4, 0.1 * 1.2**3, 0.1 * 1.2**2, 0.1 * 1.2, 0.1]
    )
    assert (algorithm.fast_lr, algorithm.scale_fast_lr, algorithm.scale_transfer_lr) == (
        1.0, False, False,
    )  # fmt: skip
    assert config.device.step == pytest.approx(0.2)
    assert (config.optim.lr, config.data.batch_size, config.io.name) == (0.05, 8, "perfect")
    assert config.mapping.weight_scaling_columnwise
    assert not config.mapping.learn_out_scaling
    assert (config.mapping.max_input_size, config.mapping.max_output_size) == (0, 0)
    assert not config.warm_start.enabled
    same = load_config(["experiment=lenet5_mnist", "run.epochs=1"])
    assert same == config


def test_the_experiments():
    chain = load_config(["experiment=lenet5_demo_chain"])
    warm = load_config(["experiment=lenet5_demo_warm_start"])
    digital = load_config(["experiment=lenet5_demo_digital"])
    assert isinstance(chain.algorithm, ReslConfig)
    assert (chain.algorithm.n_tiles, chain.algorithm.gamma) == (4, 0.1)
    assert (chain.device.n_states, chain.data.name) == (16, "mnist5k")
    assert not chain.warm_start.enabled
    assert dataclasses.replace(warm, warm_start=chain.warm_start, run=chain.run) == chain
    assert warm.warm_start == dataclasses.replace(chain.warm_start, enabled=True)
    assert digital.algorithm.name == "sgd_plain"
    assert digital.data == chain.data
    full = load_config(["experiment=lenet5_mnist_warm"])
    assert full.warm_start.enabled
    assert full.algorithm == load_config(["experiment=lenet5_mnist"]).algorithm


def test_the_command_line_goes_before_the_experiment():
    config = load_config(["experiment=lenet5_demo_chain", "warm_start=chained", "run.epochs=3"])
    assert config.warm_start.route == "chained"
    assert config.run.epochs == 3


@pytest.mark.parametrize(
    ("option", "kind"),
    [("analog_sgd", AnalogSGDConfig), ("fp_sgd", FPSGDConfig), ("sgd", SGDConfig)],
)
def test_another_algorithm_drops_the_keys_of_the_experiments_own(option, kind):
    config = load_config(["experiment=lenet5_demo_chain", f"algorithm={option}"])
    assert config.algorithm == kind()


def test_a_typed_key_of_another_algorithm_is_not_dropped():
    with pytest.raises(ConfigError, match="algorithm=resl, not of algorithm=sgd"):
        load_config(["experiment=lenet5_demo_chain", "algorithm=sgd", "algorithm.gamma=0.2"])


@pytest.mark.parametrize("experiment", [[], ["experiment=lenet5_demo_chain"]])
def test_a_typed_step_replaces_the_number_of_states_of_a_preset(experiment):
    config = load_config([*experiment, "device.dw_min=0.125"])
    assert (config.device.n_states, config.device.dw_min) == (None, 0.125)
    assert config.device.step == 0.125
    assert config.device.states == 16
    config = load_config([*experiment, "device.n_states=80"])
    assert (config.device.n_states, config.device.dw_min) == (80, None)
    assert config.device.step == pytest.approx(0.025)


@pytest.mark.parametrize("experiment", [[], ["experiment=lenet5_fashion"]])
def test_a_device_that_is_chosen_keeps_its_own_step(experiment):
    """The states of an experiment are meant for the experiment's device."""
    assert load_config([*experiment, "device=reram_es"]).device.dw_min == 0.00135
    assert load_config([*experiment, "device=reram_es"]).device.n_states is None
    fast = load_config([*experiment, "fast_device=ecram"]).fast_device
    assert (fast.dw_min, fast.n_states) == (0.002, None)
    typed = load_config([*experiment, "device=reram_es", "device.n_states=80"]).device
    assert (typed.dw_min, typed.n_states) == (None, 80)
    # A model without a step of its own takes what the experiment or its file says.
    model = load_config([*experiment, "device=pow_step"]).device
    assert model.n_states == (4 if experiment else 10)


def test_a_grid_over_devices_keeps_the_step_of_each():
    jobs, _ = Composer().grid(["device=reram_es,pow_step", "experiment=lenet5_fashion"])
    assert [job.device.step for job in jobs] == [0.00135, 0.5]


def test_what_a_grid_would_run_is_what_hydra_composes(tmp_path, monkeypatch, cli, jobs):
    """Each job of a grid is composed by Hydra again, in the end."""
    assert cli("-m", "device=reram_es,pow_step", "fast_device=ecram").status == 0
    assert [(c.device.dw_min, c.device.n_states) for c in jobs.seen] == [
        (0.00135, None),
        (None, 10),
    ]
    assert {c.fast_device.dw_min for c in jobs.seen} == {0.002}


def test_the_configuration_that_is_shown_is_the_one_that_runs(cli):
    shown = cli("device=reram_es", "experiment=lenet5_fashion", "--cfg", "job")
    assert "n_states: null\n  dw_min: 0.00135" in shown.out


def test_a_device_without_states_has_no_step():
    with pytest.raises(ValueError, match=r"device\.n_states"):
        _ = DeviceConfig().step


def test_digital_training_needs_no_device():
    assert load_config(["algorithm=sgd", "device.n_states=null"]).device.n_states is None


def test_the_key_reference_is_up_to_date():
    """`python -m runner.config > docs/configuration.md` makes it."""
    assert (ROOT / "docs" / "configuration.md").read_text() == markdown()


def test_every_key_is_described():
    described = {key.path: key for key in describe_keys()}
    composed = set(flatten(config_to_dict(load_config())))
    assert composed - set(described) == {
        *(f"{group}.name" for group in ("model", "algorithm", "device", "io", "data")),
        "fast_device",  # a group: null, or the keys of a device
    }
    for key in described.values():
        assert key.doc.endswith("."), key.path
        assert key.type, key.path
    assert described["algorithm.n_tiles"].option == "resl"
    assert described["device.n_states"].allowed == "at least 2"
    assert described["run.resume"].allowed == "auto | never | must"


def test_an_algorithm_brings_defaults_for_the_optimizer_that_others_override():
    assert load_config(["algorithm=sgd"]).optim.momentum == 0.9
    assert load_config(["algorithm=sgd_plain"]).optim.momentum == 0
    assert load_config(["algorithm=adamw", "optim=cosine"]).optim.lr == 0.001
    assert load_config(["algorithm=adamw", "optim.lr=0.5"]).optim.lr == 0.5
    resnet = load_config(["experiment=resnet18_cifar10", "algorithm=sgd"])
    assert (resnet.optim.lr, resnet.optim.momentum) == (0.1, 0.9)


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_the_settings_of_the_paper_for_cifar(name):
    config = load_config([f"experiment={name}_cifar10"])
    assert config.model.block_types == ("D", "D", "D", "A", "A", "A")
    assert (config.data.batch_size, config.data.crop_padding, config.data.flip) == (128, 4, True)
    assert config.data.auto_augment
    assert config.optim.label_smoothing == 0.1
    assert config.io.transfer.perfect
    assert isinstance(config.algorithm, ReslConfig)
    assert config.algorithm.transfer_every_vec[:3] == [3, 6, 12]
    images = load_config([f"experiment={name}_images"])
    assert dataclasses.replace(images, data=config.data, run=config.run) == config
    assert not images.data.auto_augment


def test_debug_presets_go_on_top_of_an_experiment():
    config = load_config(["experiment=resnet18_cifar10", "debug=one_batch"])
    assert config.data.train_limit == config.data.batch_size == 128
    assert config.run.epochs == 1
