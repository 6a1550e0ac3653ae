"""A wrong parameter is a Python error that begins with its name; never an abort, never ignored."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.configs import FloatingPointRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs.compounds import TransferCompound
from aihwkit.simulator.configs.devices import IdealDevice
from aihwkit.simulator.parameters.enums import RPUDataType
from aihwkit.simulator.parameters.training import UpdateParameters

from device_ext import (
    KeyedAnalogTile,
    WarmStartTransferCompound,
    _core,
    keyed_tiles,
    seed_tiles,
)
from tests.device_ext.conftest import (
    batches,
    chain,
    config,
    few_states,
    ideal_step,
    scalar_tile,
    train,
)

# parameter named by the error -> settings of a compound of three devices
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("unit_cell_devices", {"unit_cell_devices": []}),
    ("unit_cell_devices", {"unit_cell_devices": [few_states()]}),
    ("unit_cell_devices", {"unit_cell_devices": None}),
    ("unit_cell_devices[0]", {"unit_cell_devices": [IdealDevice()] * 3}),
    ("unit_cell_devices[1]", {"unit_cell_devices": [few_states(), IdealDevice(), IdealDevice()]}),
    ("unit_cell_devices[1]", {"unit_cell_devices": [few_states(), chain(2), chain(2)]}),
    ("unit_cell_devices[2]", {"unit_cell_devices": [few_states(), few_states(), None]}),
    (
        "unit_cell_devices[2]",
        {"unit_cell_devices": [few_states(), few_states(), ideal_step(0.1)]},
    ),
    ("unit_cell_devices[0].dw_min", {"unit_cell_devices": [few_states(nan)] * 3}),
    ("unit_cell_devices[0].dw_min", {"unit_cell_devices": [few_states(0.0)] * 3}),
    (
        "unit_cell_devices[1].up_down",
        {"unit_cell_devices": [few_states()] + [few_states(up_down=nan)] * 2},
    ),
    ("gamma_vec", {"gamma_vec": [0.5, 1.0]}),
    ("gamma_vec", {"gamma_vec": [0.2, -0.5, 1.0]}),
    ("gamma_vec", {"gamma_vec": [0.2, nan, 1.0]}),
    ("gamma_vec", {"gamma_vec": [0.2, 0.5, inf]}),
    ("gamma_vec", {"gamma_vec": [0.2, 0.5, 1e300]}),
    ("gamma_vec", {"gamma_vec": [0.2, 0.5, 0.0]}),
    ("gamma_vec", {"gamma_vec": [0.2, 0.5, 1e-60]}),
    ("gamma_vec", {"gamma_vec": 0.5}),
    ("gamma_vec", {"gamma_vec": [0.2, 0.0, 1.0], "significance": 1.0}),
    ("gamma", {"gamma_vec": [], "gamma": -0.1}),
    ("gamma", {"gamma_vec": [], "gamma": nan}),
    ("transfer_every_vec", {"transfer_every_vec": [1.0]}),
    ("transfer_every_vec", {"transfer_every_vec": [1.0, -1.0, 1.0]}),
    ("transfer_every_vec", {"transfer_every_vec": [1.0, nan, 1.0]}),
    ("transfer_every_vec", {"transfer_every_vec": [1.0, inf, 1.0]}),
    ("transfer_every_vec", {"transfer_every_vec": [0.0, 1.0, 1.0]}),
    ("transfer_every_vec", {"transfer_every_vec": [1.0, 0.0, 1.0], "route": "chained"}),
    ("transfer_every", {"transfer_every_vec": [], "transfer_every": 0.0}),
    ("transfer_every", {"transfer_every_vec": [], "transfer_every": nan}),
    ("transfer_lr_vec", {"transfer_lr_vec": [1.0] * 4}),
    ("transfer_lr_vec", {"transfer_lr_vec": [1.0, nan, 1.0]}),
    ("transfer_lr_vec", {"transfer_lr_vec": [1.0, -1.0, 1.0]}),
    ("transfer_lr", {"transfer_lr_vec": [], "transfer_lr": nan}),
    ("fast_lr", {"fast_lr": nan}),
    ("fast_lr", {"fast_lr": -1.0}),
    ("n_reads_per_transfer", {"n_reads_per_transfer": 0}),
    ("n_reads_per_transfer", {"n_reads_per_transfer": 1.5}),
    ("with_reset_prob", {"with_reset_prob": nan}),
    ("with_reset_prob", {"with_reset_prob": 1.5}),
    ("with_reset_prob", {"with_reset_prob": 0.5, "transfer_columns": False}),
    ("construction_seed", {"construction_seed": -1}),
    ("transfer_update.desired_bl", {"transfer_update": UpdateParameters(desired_bl=0)}),
    ("warm_start", {"warm_start": "no"}),
    ("units_in_mbatch", {"units_in_mbatch": None}),
    ("route", {"route": "diagonal"}),
    ("route", {"route": None}),
    ("period", {"period": 0.0}),
    ("period", {"period": -2}),
    ("period", {"period": nan}),
    ("period", {"period": inf}),
    ("period", {"period": "2"}),
    ("period", {"period": 4.0, "route": "chained"}),
    ("n_switches", {"n_switches": 0}),
    ("n_switches", {"n_switches": 4}),
    ("n_switches", {"n_switches": -1}),
    ("n_switches", {"n_switches": nan}),
    ("n_switches", {"n_switches": 1.5}),
    ("warm_start_lr", {"warm_start_lr": -0.1}),
    ("warm_start_lr", {"warm_start_lr": nan}),
    ("significance", {"significance": nan}),
    ("significance", {"significance": inf}),
]


@pytest.mark.parametrize(("name", "settings"), WRONG)
def test_wrong_parameters_are_named(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(name)}: ") as error:
        KeyedAnalogTile(2, 3, config(chain(3, **settings)))
    assert "\n" not in str(error.value)


def test_rates_that_overflow_are_named() -> None:
    with pytest.raises(RuntimeError, match=r"^significance: .* not finite"):
        KeyedAnalogTile(2, 3, config(chain(3, significance=-1e9)))


@pytest.mark.parametrize("warm_start", [True, False])
def test_parameters_of_the_warm_start_are_checked_even_while_it_is_off(warm_start: bool) -> None:
    with pytest.raises(ValueError, match=r"^period: "):
        KeyedAnalogTile(2, 3, config(chain(3, warm_start=warm_start, period=-1.0)))


def test_numbers_of_numpy_are_numbers() -> None:
    compound = chain(
        2,
        period=np.float32(2),
        n_switches=np.int64(1),
        warm_start_lr=np.float64(0.1),
        gamma_vec=list(np.array([0.5, 1.0])),
    )
    assert KeyedAnalogTile(2, 3, config(compound)).stage == 1


def test_other_data_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^data_type: must be float"):
        chain(2).as_bindings(RPUDataType.DOUBLE)


# -- periods that aihwkit's counter cannot hold ----------------------------------------------------

TOO_LONG = {
    "period": {"period": 1e9},
    "transfer_every_vec": {"transfer_every_vec": [2.0, 2.0, 1e9]},
}


@pytest.mark.parametrize("engine", ["exact", "fast"])
@pytest.mark.parametrize("name", sorted(TOO_LONG))
def test_two_to_the_31_vectors_are_refused_at_the_first_update(name: str, engine: Any) -> None:
    """Even where the stage that would follow the period has not come yet."""
    tile = scalar_tile(chain(3, **TOO_LONG[name]))
    tile.engine = engine
    tile.update(torch.ones(2, 1), torch.ones(2, 1))  # 2e9 fits, just
    with pytest.raises(RuntimeError, match=rf"^{name}: .*1e\+09 mini-batches of 3 vectors"):
        tile.update(torch.ones(3, 1), torch.ones(3, 1))


@pytest.mark.parametrize("vectors", [2**31 - 256, 2**31])
def test_the_limit_itself(vectors: int) -> None:
    tile = scalar_tile(chain(2, units_in_mbatch=False, transfer_every_vec=[1.0, float(vectors)]))
    if vectors < 2**31:
        tile.update(torch.ones(1, 1), torch.ones(1, 1))
        return
    with pytest.raises(RuntimeError, match="transfer_every_vec"):
        tile.update(torch.ones(1, 1), torch.ones(1, 1))


# -- tiles without a warm start --------------------------------------------------------------------

STAGE_API: dict[str, Callable[[Any], Any]] = {
    "stage": lambda tile: tile.stage,
    "switches": lambda tile: tile.switches,
    "advance": lambda tile: tile.advance(),
}


@pytest.mark.parametrize("call", sorted(STAGE_API))
@pytest.mark.parametrize("device", [few_states(), chain(2, TransferCompound)])
def test_a_keyed_tile_without_the_compound_has_no_stages(device: Any, call: str) -> None:
    tile = KeyedAnalogTile(2, 3, config(device))
    with pytest.raises(TypeError, match="not a warm-start transfer compound"):
        STAGE_API[call](tile)


@pytest.mark.parametrize("function", ["target", "switches", "total_switches", "advance", "pulses"])
def test_plain_tiles_give_a_type_error(function: str) -> None:
    analog = AnalogLinear(3, 2, rpu_config=UnitCellRPUConfig(device=chain(2, TransferCompound)))
    floating = AnalogLinear(3, 2, rpu_config=FloatingPointRPUConfig())
    for layer in (analog, floating):
        with pytest.raises(TypeError):
            getattr(_core, function)(next(layer.analog_tiles()).tile)


def test_models_without_keyed_tiles_have_none() -> None:
    model = torch.nn.Sequential(AnalogLinear(3, 2, rpu_config=FloatingPointRPUConfig()))
    assert keyed_tiles(model) == []
    seed_tiles(model, 1)


def test_off_has_no_stage() -> None:
    tile = KeyedAnalogTile(2, 3, config(chain(3, warm_start=False)))
    assert (tile.stage, tile.switches) == (None, 0)
    with pytest.raises(RuntimeError, match="chain already runs"):
        tile.advance()


def test_the_plain_tile_class_of_aihwkit_takes_the_compound_too() -> None:
    """The compound itself does not need keyed tiles, only their stage interface does."""
    model = AnalogLinear(6, 5, rpu_config=UnitCellRPUConfig(device=chain(3)))
    train(model, batches((6,), [4] * 4))
    assert _core.target(next(model.analog_tiles()).tile) == 2


def test_the_name_tells_the_device() -> None:
    tile = KeyedAnalogTile(2, 3, config(chain(3)))
    assert "WarmStartTransfer(3): SoftBounds -> SoftBounds" in repr(tile)


def test_printing_a_configuration_shows_the_warm_start() -> None:
    assert "period=4.0" in str(config(chain(3, period=4.0)))
    assert isinstance(chain(2), WarmStartTransferCompound)


# -- no abort --------------------------------------------------------------------------------------

NASTY = """
from device_ext import _core
from tests.device_ext.conftest import linear_model
from tests.device_ext.test_compound import *

def refuse(action):
    try:
        action()
    except (ValueError, RuntimeError, TypeError) as error:
        assert str(error), error
        return
    raise SystemExit(f"not refused: {action}")

for name, settings in WRONG:
    refuse(lambda: KeyedAnalogTile(2, 3, config(chain(3, **settings))))
# The same past the checks in Python, straight into C++.
for period, n_switches, significance in [
    (nan, 2, 0.0), (0.0, 2, 0.0), (2.0, 9, 0.0), (2.0, 0, 0.0), (2.0, 2, -1e9), (2.0, 2, nan)
]:
    parameter = chain(3).as_bindings(RPUDataType.FLOAT)
    parameter.period, parameter.n_switches, parameter.significance = (
        period, n_switches, significance
    )
    refuse(lambda: config(chain(3)).as_bindings().create_array(3, 2, parameter))
for settings in TOO_LONG.values():
    tile = scalar_tile(chain(3, **settings))
    refuse(lambda: tile.update(torch.ones(3, 1), torch.ones(3, 1)))
    refuse(lambda: train(linear_model(chain(3, **settings)), batches((6,), [8])))
tile = scalar_tile(chain(2))
tile.advance()
refuse(tile.advance)
tile = KeyedAnalogTile(2, 3, config(few_states()))
refuse(tile.advance)
refuse(lambda: _core.target(None))
refuse(lambda: tile.set_exact_state({}))
print("survived")
"""


def test_nothing_aborts() -> None:
    """All of it in a process of its own, which must live to its last line."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    run = subprocess.run(
        [sys.executable, "-c", NASTY], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.splitlines()[-1] == "survived"
