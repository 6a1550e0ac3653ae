"""An analog tile whose randomness is keyed, whose state is exact and whose updates are fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles.analog import AnalogTile
from torch import Tensor
from torch.autograd import no_grad

from device_ext import _core
from device_ext.layout import (
    PatchGeometry,
    batch_vectors,
    channels_first,
    patch_vectors,
    pixel_vectors,
    unfolded_patches,
)

# Domains of a tile's keys: each call counts up in its own, so that neither an evaluation nor
# setting weights in between changes anything in training.
_SETUP, _TRAIN, _EVAL = range(3)

_EXTRA = "extra."
_COUNTER = "counter."
_EXACT_STATE = "keyed_exact_state"
_SCRATCH = "transfer_tmp"
_DRIFT = "drifter"  # its vectors appear with the first drift
_CONSTRUCTION = "keyed_construction"
_REPRODUCIBLE_PULSES = (
    PulseType.STOCHASTIC_COMPRESSED,
    PulseType.STOCHASTIC,
    PulseType.NONE,
    PulseType.NONE_WITH_DEVICE,
    PulseType.DETERMINISTIC_IMPLICIT,
)

EngineName = Literal["exact", "fast"]


@dataclass(frozen=True)
class DeviceTelemetry:
    """What one device of a tile went through."""

    weights: Tensor
    """Weights as a read sees them, [out, in], in the device's own units (w_min to w_max)."""
    share_at_bound: float
    """Share of cross-points within one ``dw_min`` of their own bound, 0 to 1; NaN for a device
    without bounds."""
    transfers: int
    """Transfer events received so far (0 for a gradient tile and for single devices)."""
    pulses: int | None
    """Pulses that changed a cross-point so far; ``None`` where this path does not count them."""


class KeyedAnalogTile(AnalogTile):
    """``AnalogTile`` for training that can be repeated, resumed and trusted.

    - Every random number is keyed by (seed, tile index, call counter): see ``seed``.
    - deepcopy, pickling and ``state_dict`` keep hidden weights and counters, for every device.
    - ``get_exact_state`` / ``set_exact_state`` move the state as plain tensors.
    - ``engine`` chooses between aihwkit's own pulse path and the fast engine.
    - ``direct_passes`` lets the layers of ``device_ext.layers`` bypass aihwkit's perfect passes.

    Raises:
        ValueError: for a pulse type whose generator is out of reach.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._construction_seed: int | None = None
        self._key = 0
        self._calls = [0, 0, 0]
        self._engine: EngineName = "exact"
        self._single_pulses = 0
        self._needs_rekey = (True, True)
        self._changes_after_update = True
        self._drifts = False
        self._direct_passes = False
        self.patches: PatchGeometry | None = None
        super().__init__(*args, **kwargs)

    # -- construction ---------------------------------------------------------------------------

    def _create_simulator_tile(self, x_size: int, d_size: int, rpu_config: Any) -> Any:
        _check_pulse_type("update", rpu_config.update)
        _check_pulse_type("transfer_update", getattr(rpu_config.device, "transfer_update", None))
        parameter = rpu_config.device.as_bindings(self.get_data_type())
        if self._construction_seed is None:
            # The device-to-device spread follows torch's seed, and differs from tile to tile.
            given = parameter.construction_seed
            drawn = given or int(torch.randint(1, 2**31 - 1, ()).item())
            self._construction_seed = drawn
            self._key = _core.child_key(drawn, _SETUP)
        parameter.construction_seed = self._construction_seed
        self._needs_rekey = (not rpu_config.forward.is_perfect, not rpu_config.backward.is_perfect)
        device = rpu_config.device
        self._changes_after_update = device.requires_decay() or device.requires_diffusion()
        self._drifts = any(d.drift.nu > 0 for d in _single_devices(device) if hasattr(d, "drift"))
        tile = rpu_config.as_bindings().create_array(x_size, d_size, parameter)
        # Its generators are seeded by the clock, and a device with write noise has drawn from them.
        _core.seed_tile(tile, self._key)
        _core.rekey_tile(tile, _core.child_key(self._key, _SETUP))
        tile.set_weights(torch.zeros(d_size, x_size))
        return tile

    # -- keys -----------------------------------------------------------------------------------

    def seed(self, seed: int, index: int) -> None:
        """Key all randomness of this tile by a run's seed (>= 0) and the tile's index in it.

        Restarts the call counters. Call it after the whole model is built: the constructor of any
        aihwkit tile reseeds libc's generator.
        """
        if seed < 0 or index < 0:
            raise ValueError(f"seed and index must be at least 0, are {seed} and {index}")
        self._key = _core.child_key(_core.child_key(seed, index), 0x5EED)
        self._calls = [0, 0, 0]
        _core.seed_tile(self.tile, self._key)

    def _next_key(self, domain: int) -> int:
        self._calls[domain] += 1
        return _core.child_key(_core.child_key(self._key, domain), self._calls[domain])

    def _rekey(self, domain: int) -> int:
        key = self._next_key(domain)
        _core.rekey_tile(self.tile, key)
        return key

    @no_grad()
    def set_weights(self, *args: Any, **kwargs: Any) -> None:
        """Set the weights, [out, in], and biases as in ``AnalogTile``; write noise is keyed."""
        self._rekey(_SETUP)
        super().set_weights(*args, **kwargs)

    def joint_forward(self, x_input: Tensor, is_test: bool = False, ctx: Any = None) -> Tensor:
        if self._needs_rekey[0]:
            self._rekey(_EVAL if is_test else _TRAIN)
        return super().joint_forward(x_input, is_test, ctx)

    def backward(self, d_input: Tensor, ctx: Any = None) -> Tensor:
        if self._needs_rekey[1]:
            self._rekey(_TRAIN)
        return super().backward(d_input, ctx)

    def post_update_step(self) -> None:
        if not (self._changes_after_update or self._drifts):
            return
        self._rekey(_TRAIN)
        super().post_update_step()
        if self._drifts:  # aihwkit leaves the clock of the power law to the caller
            self.tile.drift_weights(1.0)

    # -- update ---------------------------------------------------------------------------------

    @property
    def engine(self) -> EngineName:
        """``exact``: aihwkit's own pulse path. ``fast``: the pulse engine."""
        return self._engine

    @engine.setter
    def engine(self, name: EngineName) -> None:
        if name not in ("exact", "fast"):
            raise ValueError(f"engine: must be 'exact' or 'fast', is {name!r}")
        if name == "fast":
            refusal = self.engine_refusal()
            if refusal is not None:
                raise ValueError(f"engine: fast is not available for this tile: {refusal}")
        self._engine = name

    def engine_refusal(self) -> str | None:
        """Return why the fast engine can not serve this tile, or ``None`` where it can."""
        return _core.engine_refusal(self.tile) or None

    def update(self, x_input: Tensor, d_input: Tensor) -> None:
        """Update the tile with a mini-batch.

        Args:
            x_input: [..., in] (transposed with ``in_trans``), or the image batch [n, channels,
                height, width] of a convolution that passes directly.
            d_input: gradients of the outputs, [..., out], or [n, out, height, width].
        """
        key = self._rekey(_TRAIN)
        images = self.patches is not None and x_input.dim() == 4
        if self._engine == "exact":
            if self.patches is not None and images:
                x_input = unfolded_patches(x_input, self.patches)
                d_input = d_input.flatten(2).transpose(-1, -2)
            super().update(x_input, d_input)
            return
        x_input, d_input = self.pre_update(
            x_input,
            1 if images else (0 if self.in_trans else x_input.dim() - 1),
            d_input,
            1 if images else (0 if self.out_trans else d_input.dim() - 1),
        )
        if self.patches is not None and images and not self.analog_bias:
            # Patches are looked over many at a time where neighbouring pixels lie side by side.
            x = patch_vectors(channels_first(x_input), self.patches)
            d = pixel_vectors(d_input)
        else:
            if self.patches is not None and images:
                x_input = unfolded_patches(x_input, self.patches)
                d_input = d_input.flatten(2).transpose(-1, -2)
            x_input = x_input.movedim(0, -1) if self.in_trans else x_input
            d_input = d_input.movedim(0, -1) if self.out_trans else d_input
            if self.analog_bias:
                x_input = torch.cat((x_input, torch.ones_like(x_input[..., :1])), dim=-1)
            x, d = batch_vectors(x_input), batch_vectors(d_input)
        at_x, at_d = x.place, d.place
        shape = (self.out_size, self.tile.get_x_size())
        if at_x.n != at_d.n or (at_d.n_lines, at_x.n_lines) != shape:
            raise ValueError(
                f"update of a [{self.out_size}, {self.in_size}] tile got inputs of shape "
                f"{tuple(x_input.shape)} and {tuple(d_input.shape)}"
            )
        self._single_pulses += _core.engine_update(
            self.tile, x.values.data_ptr(), at_x.layout, d.values.data_ptr(), at_d.layout, at_x.n,
            key, torch.get_num_threads(),
        )  # fmt: skip

    # -- direct passes --------------------------------------------------------------------------

    @property
    def direct_passes(self) -> bool:
        """Whether forward and backward go straight to torch's own products."""
        return self._direct_passes

    @direct_passes.setter
    def direct_passes(self, value: bool) -> None:
        if value and not self.can_pass_directly():
            raise ValueError("direct_passes: needs perfect forward and backward input-output")
        self._direct_passes = value

    def can_pass_directly(self) -> bool:
        """Return whether torch's product equals the tile's passes within float rounding."""
        config = self.rpu_config
        return (
            config.forward.is_perfect
            and config.backward.is_perfect
            and config.forward.out_scale == config.backward.out_scale == 1.0
            and self.input_range is None
            and not (self.in_trans or self.out_trans)
        )

    def direct_weight(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight [out, in], scaled by the mapping, and the bias [out] if any.

        The weight is a view of the tile's own memory where no scale applies: do not write to it.
        With learned output scales the digital bias is left out, since it comes after them.
        """
        weight = self._shared_weight_tensor
        assert weight is not None  # every C++ tile on the CPU has one
        if self.mapping_scales is not None:
            weight = weight * self.mapping_scales.view(-1, 1)
        if self.analog_bias:
            return weight[:, :-1].contiguous(), weight[:, -1]
        return weight, self.bias if self.out_scaling_alpha is None else None

    def remember(self, x_input: Tensor, d_input: Tensor) -> None:
        """Keep a pass's input and output gradient for the optimizer's call of ``update``."""
        self.analog_ctx.use_torch_update = False
        self.analog_ctx.analog_input.append(x_input)
        self.analog_ctx.analog_grad_output.append(d_input)

    # -- stages of the warm start ---------------------------------------------------------------

    @property
    def stage(self) -> int | None:
        """Index of the device that the warm start fills now; ``None`` while the chain runs.

        Raises:
            TypeError: where the tile's device is not a ``WarmStartTransferCompound``.
        """
        target = _core.target(self.tile)
        return None if target < 0 else target

    @property
    def switches(self) -> int:
        """Stages left behind so far. Raises ``TypeError`` like ``stage``."""
        return _core.switches(self.tile)

    def advance(self) -> int | None:
        """Go to the next stage and return it (``None``: the chain).

        Raises:
            TypeError: like ``stage``.
            RuntimeError: where the chain already runs.
        """
        _core.advance(self.tile)
        return self.stage

    # -- telemetry and state --------------------------------------------------------------------

    def telemetry(self) -> list[DeviceTelemetry]:
        """Return what each device went through; index 0 is the gradient tile of a compound."""
        weights = [torch.from_numpy(w) for w in _core.device_weights(self.tile)]
        shares = _core.share_at_bound(self.tile)
        transfers, pulses = [0] * len(weights), [None] * len(weights)
        if _core.is_compound(self.tile):
            transfers, pulses = _core.transfers(self.tile), _core.pulses(self.tile)
        elif self._engine == "fast":
            # aihwkit's own transfers write onto the further devices, uncounted.
            pulses = [self._single_pulses, *pulses[1:]]
        return [
            DeviceTelemetry(*row) for row in zip(weights, shares, transfers, pulses, strict=True)
        ]

    def bounds(self) -> list[tuple[Tensor, Tensor] | None]:
        """Return the lower and upper bound of each cross-point, [out, in], device by device.

        In the device's own units; None for a device without bounds.
        """
        return [
            None if pair is None else (torch.from_numpy(pair[0]), torch.from_numpy(pair[1]))
            for pair in _core.bounds(self.tile)
        ]

    def get_exact_state(self) -> dict[str, Tensor]:
        """Return everything that training changes inside the tile, as plain tensors.

        Weights of all devices (float32, [out, in]), aihwkit's counters and buffers (float64), the
        stage, call counters (int64). The device-to-device spread and the scales of the periphery
        are not in it: the first follows from the seed, the second is in the module's own state.
        """
        state = {k: torch.from_numpy(v) for k, v in _core.state_matrices(self.tile).items()}
        for name, values in self.tile.dump_extra().items():
            state[_EXTRA + name] = torch.tensor(values, dtype=torch.float64)
        state[_COUNTER + "calls"] = torch.tensor(self._calls)
        state[_COUNTER + "pulses"] = torch.tensor([self._single_pulses])
        return state

    def set_exact_state(self, state: dict[str, Tensor]) -> None:
        """Restore ``get_exact_state`` into a tile of the same configuration and seed, to the bit.

        Raises:
            ValueError: where an entry is missing, unknown or of another shape.
        """
        extra = {k[len(_EXTRA) :]: v.tolist() for k, v in state.items() if k.startswith(_EXTRA)}
        counters = {k: v for k, v in state.items() if k.startswith(_COUNTER)}
        matrices = {k: v.numpy() for k, v in state.items() if not k.startswith((_EXTRA, _COUNTER))}
        sizes = {name: len(values) for name, values in self.tile.dump_extra().items()}
        n_cross_points = self.tile.get_x_size() * self.tile.get_d_size()
        if set(extra) != set(sizes):
            raise ValueError("the state's counters are not those of this tile")
        for name, values in extra.items():
            # aihwkit takes any size, and reads past the end later; scratch memory grows with use.
            if name.endswith(_SCRATCH) or (_DRIFT in name and len(values) in (0, n_cross_points)):
                continue
            if len(values) != sizes[name]:
                raise ValueError(
                    f"state entry '{_EXTRA}{name}' has {len(values)} values, not {sizes[name]}"
                )
        expected = {_COUNTER + "calls": (len(self._calls),), _COUNTER + "pulses": (1,)}
        if {name: tuple(value.shape) for name, value in counters.items()} != expected:
            raise ValueError("the state lacks the tile's call counters")
        _core.set_state_matrices(self.tile, matrices)
        self.tile.load_extra(extra, False)
        self._calls = [int(n) for n in counters[_COUNTER + "calls"].tolist()]
        self._single_pulses = int(counters[_COUNTER + "pulses"].item())

    def _keyed_state(self) -> dict[str, Any]:
        return {
            _CONSTRUCTION: (self._construction_seed, self._key, _core.nominal_steps(self.tile)),
            _EXACT_STATE: self.get_exact_state(),
        }

    def get_analog_state(self) -> dict[str, Any]:
        """Return the tile's entry in a ``state_dict``, hidden weights and counters included."""
        return {**super().get_analog_state(), **self._keyed_state()}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), **self._keyed_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # aihwkit's own __setstate__ sets the hidden weights and then zeroes them with
        # set_weights(): the exact state has to be put back after it.
        state = dict(state)
        if _EXACT_STATE not in state:
            raise ValueError("the state was not saved by a keyed tile: it lacks hidden weights")
        exact = state.pop(_EXACT_STATE)
        self._construction_seed, self._key, steps = state.pop(_CONSTRUCTION)
        super().__setstate__(state)
        _core.set_nominal_steps(self.tile, steps)
        self.set_exact_state(exact)


def _single_devices(device: Any) -> list[Any]:
    """The devices inside a compound or unit cell, or the device itself."""
    inner = getattr(device, "unit_cell_devices", None) or getattr(device, "device", None)
    if inner is None:
        return [device]
    parts = inner if isinstance(inner, list) else [inner]
    return [device for part in parts for device in _single_devices(part)]


def _check_pulse_type(name: str, update: UpdateParameters | None) -> None:
    if update is not None and update.pulse_type not in _REPRODUCIBLE_PULSES:
        raise ValueError(
            f"{name}.pulse_type: {update.pulse_type.value} draws from a generator that can not be "
            "seeded"
        )
