"""Plain values and back, hashes, folder names, and what single values are accepted."""

from __future__ import annotations

import copy
import dataclasses
import json
import math

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from runner.config import (
    Config,
    ConfigError,
    config_from_dict,
    config_hash,
    config_to_dict,
    load_config,
    run_slug,
)
from runner.config.keyset import all_keys
from runner.config.schema import Geometric

DEFAULT = load_config()
PATHS = sorted(
    {key.path for key in all_keys() if key.option in ("", "resl") and key.path != "run.dir"}
)


def with_value(path: str, value: object) -> dict:
    """The default configuration's values with one of them replaced."""
    values = config_to_dict(DEFAULT)
    section = values
    *parents, last = path.split(".")
    for name in parents:
        section = section[name]
    section[last] = value
    return values


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=lenet5_demo_warm_start", "device.dw_min=0.3", "name=a.b-c_1"],
        ["algorithm=sgd", "optim.momentum=0.9", "model.block_types=[A,D,A,D]"],
        ["warm_start=chained", "warm_start.transfer_lr=1e-3", "checkpoint.every_minutes=2.5"],
    ],
)
def test_values_survive_yaml_and_json(overrides):
    config = load_config(overrides)
    values = config_to_dict(config)
    assert config_from_dict(values) == config
    assert config_from_dict(yaml.safe_load(yaml.safe_dump(values))) == config
    assert config_from_dict(json.loads(json.dumps(values))) == config


def test_missing_and_unknown_keys_are_refused():
    values = config_to_dict(DEFAULT)
    del values["run"]["seed"]
    with pytest.raises(ConfigError, match=r"run\.seed: missing key"):
        config_from_dict(values)
    with pytest.raises(ConfigError, match=r"run\.speed=1: unknown key .*run\.seed"):
        config_from_dict(with_value("run.speed", 1))
    with pytest.raises(ConfigError, match=r"algorithm=resll: must be one of .*resl\)"):
        config_from_dict(with_value("algorithm.name", "resll"))
    with pytest.raises(ConfigError, match=r"algorithm\.\w+=.*is a key of algorithm=resl"):
        config_from_dict(with_value("algorithm.name", "sgd"))
    with pytest.raises(ConfigError, match="run=7: must be a section"):
        config_from_dict(with_value("run", 7))


def test_an_error_carries_its_parts():
    with pytest.raises(ConfigError) as caught:
        load_config(["device.n_states=1"])
    error = caught.value
    assert (error.key, error.value, error.suggestion) == ("device.n_states", "1", "2")
    assert error.message == "must be at least 2"
    assert str(error) == "device.n_states=1: must be at least 2 (nearest valid: 2)"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("optim.lr", 1, 1.0),
        ("optim.lr", "1e-4", 1e-4),  # YAML 1.1 reads this number as a text
        ("optim.lr", "2.5E+1", 25.0),
        ("device.n_states", 4, 4.0),
        ("run.epochs", 0, 0),
        ("data.train_limit", None, None),
        ("run.dir", 7, "7"),
        ("tracking", [], ()),
        ("model.block_types", ["D", "A", "A", "D"], ("D", "A", "A", "D")),
    ],
)
def test_accepted(path, value, expected):
    found: object = config_from_dict(with_value(path, value))
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected
    assert type(found) is type(expected)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["A", "D", "paper", "direct", "step", "mnist5k", "1e-4", "auto"]),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=5),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(PATHS), ANYTHING)
def test_any_value_is_taken_unchanged_or_refused_by_name(path, value):
    values = with_value(path, value)
    before = copy.deepcopy(values)
    try:
        config = config_from_dict(values)
    except ConfigError as error:
        outcome = str(error)
        assert path.split(".")[0] in outcome
        assert outcome.isprintable()
    else:
        again = config_to_dict(config)
        assert config_from_dict(again) == config
        assert finite(again)
    assert repr(values) == repr(before)


def finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(finite(item) for item in value.values())
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("path", ["algorithm.gamma", "warm_start.significance", "optim.gamma"])
@given(value=st.floats(-1e3, 1e3))
@settings(deadline=None, max_examples=50)
def test_the_nearest_valid_value_is_valid(path, value):
    try:
        config_from_dict(with_value(path, value))
    except ConfigError as error:
        if error.suggestion is None:  # next to an open bound there is no nearest value
            event("open bound")
            return
        config_from_dict(with_value(path, float(error.suggestion)))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("run.seed=2", False),
        ("run.threads=2", False),
        ("algorithm.gamma=0.4", False),
        ("device.dw_min=0.2", False),
        ("run.dir=elsewhere", True),
        ("run.resume=never", True),
        ("data.root=.", True),
        ("name=x", True),
        ("checkpoint.keep=5", True),
        ("optim.lr=5e-2", True),
    ],
)
def test_the_hash_follows_what_a_run_computes(change, same):
    assert (config_hash(load_config([change])) == config_hash(DEFAULT)) is same


def test_the_hash_survives_a_round_trip():
    assert config_hash(DEFAULT) == config_hash(config_from_dict(config_to_dict(DEFAULT)))
    assert len(config_hash(DEFAULT)) == 8


def test_the_folder_names_the_run():
    config = load_config(["experiment=lenet5_demo_warm_start", "run.seed=3"])
    slug = run_slug(config)
    assert slug == f"lenet5-resl-mnist5k-n4-s16-warm-seed3-{config_hash(config)}"
    assert config.run.dir == f"runs/{slug}"
    digital = load_config(["algorithm=sgd"])
    assert run_slug(digital).startswith("lenet5-sgd-mnist-seed1-")
    named = load_config(["name=first.try"])
    assert named.run.dir == f"runs/first.try-{config_hash(named)}"
    assert load_config(["run.dir=a/b"]).run.dir == "a/b"


def test_a_config_can_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT.run.seed = 2  # type: ignore[misc]


def test_geometric_vector():
    assert Geometric(2, 5).vector(4) == [2, 10, 50, 250]


def test_a_config_built_by_hand_is_one():
    assert config_from_dict(config_to_dict(DEFAULT)) == DEFAULT
    assert isinstance(Config(), Config)
