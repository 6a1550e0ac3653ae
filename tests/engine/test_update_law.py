"""One update: mean and variance of every cross-point's change, against the formula (tests/engine/
law.py) and against aihwkit's own path. Tolerances follow from the number of repeats.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.simulator.parameters.training import UpdateParameters
from scipy import stats
from torch import Tensor

from device_ext import KeyedAnalogTile
from tests.engine.law import Moments, Rule, moments, probabilities, trains
from tests.engine.statistics import (
    Array,
    assert_close,
    assert_frequencies,
    assert_mean,
    assert_same_moments,
    assert_variance,
    variance_error,
)
from tests.engine.tiles import (
    constant_step,
    exp_step,
    hidden,
    ideal_step,
    linear_step,
    make_tile,
    pow_reference,
    pow_step,
    reference,
    repeated,
    set_matrices,
    soft_bounds,
)

REPEATS = 5000
DW = 0.01
TABLE = 32768
"""Entries of aihwkit's table of normal numbers: its mean and variance are off by that much."""

# Both signs, zeros, one line far above the others; a second vector with other zeros.
X = torch.tensor([
    [0.9, -0.4, 0.0, 0.05, 0.6, -1.0, 0.3],
    [0.0, 0.7, 0.2, -0.3, 0.0, 0.5, -0.1],
])  # fmt: skip
D = torch.tensor([[0.5, -0.8, 0.0, 0.1, -0.25], [-0.6, 0.3, 0.9, 0.0, 0.02]])


@dataclass(frozen=True)
class Case:
    """An update whose moments the formula knows."""

    device: Any
    rule: Rule
    lr: float = 0.05
    update: UpdateParameters = field(default_factory=UpdateParameters)
    noise: float = 0.3
    dw_min: float = DW

    def tile(self) -> tuple[KeyedAnalogTile, Array]:
        """The tile and its weights before the update, [out, in]."""
        tile = make_tile(self.device, D.shape[1], X.shape[1], lr=self.lr, update=self.update)
        w0 = np.random.default_rng(5).uniform(-0.3, 0.3, (D.shape[1], X.shape[1]))
        w0 = w0.astype(np.float32).astype(np.float64)
        names = [n for n in ("weights", "persistent") if n in tile.get_exact_state()]
        set_matrices(tile, dict.fromkeys(names, w0))
        return tile, w0

    def moments(self, tile: KeyedAnalogTile, w0: Array) -> Moments:
        batch = list(zip(X.numpy().astype(float), D.numpy().astype(float), strict=True))
        return moments(
            w0, self.rule, hidden(tile), self.noise, batch, self.update, self.lr, self.dw_min
        )


def update_parameters(bl: int, management: bool, bl_management: bool, **kwargs: Any) -> Any:
    return UpdateParameters(
        desired_bl=bl,
        update_management=management,
        update_bl_management=bl_management,
        **kwargs,
    )


def train_cases() -> dict[str, Case]:
    """Learning rates from rare pulses to certain ones, BL 1 to 31, management on and off."""
    device = constant_step(DW, up_down=0.1, w_min=-20.0, w_max=20.0, w_min_dtod=0.0, w_max_dtod=0.0)
    managements = {"plain": (False, False), "um": (True, False), "um_blm": (True, True)}
    cases = {
        f"{name}-bl{bl}-lr{lr}": Case(device, "constant", lr, update_parameters(bl, *flags))
        for (name, flags), bl, lr in itertools.product(
            managements.items(), (1, 7, 31), (0.004, 0.04, 0.4)
        )
    }
    for lr in (0.04, 0.4):
        cases[f"free_bl-lr{lr}"] = Case(
            device, "constant", lr, update_parameters(5, False, False, fixed_bl=False)
        )
    for scale in (0.5, 1.7):
        cases[f"um_grad_scale{scale}"] = Case(
            device, "constant", 0.1, update_parameters(10, True, True, um_grad_scale=scale)
        )
    return cases


def device_cases() -> dict[str, Case]:
    """Devices with every spread, up/down asymmetry, additive and multiplicative cycle noise."""
    kinds: dict[str, tuple[Any, Rule, dict[str, Any]]] = {
        "soft_bounds": (soft_bounds, "linear_mult", {}),
        "soft_bounds_add": (soft_bounds, "linear_add", {"mult_noise": False}),
        "reference": (reference, "reference_add", {}),
        "reference_mult": (reference, "reference_mult", {"mult_noise": True}),
        "linear": (linear_step, "linear_mult", {}),
        "linear_add": (linear_step, "linear_add", {"mult_noise": False}),
        "constant": (constant_step, "constant", {}),
    }
    cases = {}
    for name, (make, rule, options) in kinds.items():
        for noise in (0.0, 0.4):
            device = make(DW, up_down=0.2, dw_min_std=noise, **options)
            cases[f"{name}-noise{noise}"] = Case(device, rule, noise=noise)
    return cases


TRAINS = train_cases()
DEVICES = device_cases()


def assert_agrees_with_exact(
    fast: Array, exact: Array, expected_pulses: Array, step: float, noise: float, what: str
) -> None:
    """Two arms agree, within sampling error and what exact's finite table of normals adds."""
    sampling = exact.var(axis=0, ddof=1) / len(exact)
    table_mean = expected_pulses * noise * step / math.sqrt(TABLE)
    assert_mean(fast, exact.mean(axis=0), what, np.sqrt(sampling + table_mean**2))
    table_variance = expected_pulses * (noise * step) ** 2 * math.sqrt(2.0 / TABLE)
    assert_variance(
        fast, exact.var(axis=0, ddof=1), what, np.hypot(variance_error(exact), table_variance)
    )


@pytest.mark.parametrize("name", [*TRAINS, *DEVICES])
def test_moments_of_every_cross_point(name: str) -> None:
    case = (TRAINS | DEVICES)[name]
    tile, w0 = case.tile()
    expected = case.moments(tile, w0)

    fast = repeated(tile, "fast", X, D, REPEATS)["weights"]
    assert_mean(fast, expected.mean, "fast")
    assert_variance(fast, expected.variance, "fast")

    exact = repeated(tile, "exact", X, D, REPEATS)["weights"]
    assert_agrees_with_exact(
        fast, exact, expected.pulses, 2.5 * case.dw_min, case.noise, "fast, against exact"
    )
    # One number for the whole tile has the smallest error of all: a bias would show here.
    direction = np.sign(expected.mean)
    assert_mean((fast * direction).sum(axis=(1, 2)), float(np.abs(expected.mean).sum()), "the sum")


@pytest.mark.parametrize("name", ["um_blm-bl31-lr0.04", "plain-bl7-lr0.4"])
def test_pulses_are_counted(name: str) -> None:
    case = TRAINS[name]
    tile, w0 = case.tile()
    repeated(tile, "fast", X, D, REPEATS)
    found = tile.telemetry()[0].pulses
    expected = case.moments(tile, w0).pulses.sum() * REPEATS
    assert found is not None
    # Pulses of a slot come in rows and columns: their number spreads more than Poisson's.
    assert abs(found - expected) < 0.02 * expected


# -- the counts themselves, on ideal devices -------------------------------------------------------


def counts(x: Tensor, d: Tensor, update: UpdateParameters, lr: float, repeats: int) -> Array:
    """Signed numbers of steps per update, [repeats, out, in]."""
    step = 2.0**-10
    tile = make_tile(ideal_step(step), d.shape[-1], x.shape[-1], lr=lr * step / DW, update=update)
    found = repeated(tile, "fast", x, d, repeats)["weights"] / step
    assert np.array_equal(found, np.round(found))
    return found


def test_counts_are_binomial() -> None:
    update = update_parameters(7, True, False)
    x, d = X[:1], D[:1]
    found = counts(x, d, update, 0.04, 4000)
    scales = trains(update, x[0].numpy(), d[0].numpy(), 0.04, DW)
    p_x, p_d = probabilities(scales, x[0].numpy(), d[0].numpy())
    for i, j in itertools.product(range(len(p_d)), range(len(p_x))):
        p = float(p_d[i] * p_x[j])
        sign = -1 if float(x[0, j] * d[0, i]) > 0 else 1
        histogram = np.bincount((sign * found[:, i, j]).astype(int), minlength=scales.bl + 1)
        law = stats.binom.pmf(np.arange(scales.bl + 1), scales.bl, p) * len(found)
        assert_frequencies(histogram, law, f"counts at {i}, {j}", level=1e-5)


def test_cross_points_share_the_trains_of_their_lines() -> None:
    # Cov(K_ij, K_kl) per slot: p_i p_j p_l (1 - p_i) in a row, p_j p_i p_k (1 - p_j) in a column,
    # nothing elsewhere.
    update = update_parameters(7, True, False)
    x, d = X[:1, :5].abs(), -D[:1].abs()
    found = counts(x, d, update, 0.06, 6000)
    scales = trains(update, x[0].numpy(), d[0].numpy(), 0.06, DW)
    p_x, p_d = probabilities(scales, x[0].numpy(), d[0].numpy())
    both = np.einsum("i,j,k,l->ijkl", p_d, p_x, p_d, p_x)
    # A line that both cross-points share has to fire only once.
    once_d = np.where(np.eye(len(p_d)) == 1, 1.0 / np.maximum(p_d, 1e-30)[:, None], 1.0)
    once_x = np.where(np.eye(len(p_x)) == 1, 1.0 / np.maximum(p_x, 1e-30)[:, None], 1.0)
    joint = both * once_d[:, None, :, None] * once_x[None, :, None, :]
    expected = scales.bl * (joint - both)

    centred = (found - found.mean(axis=0)).reshape(len(found), -1)
    products = np.einsum("ra,rb->rab", centred, centred)
    error = products.std(axis=0) / math.sqrt(len(found))
    size = centred.shape[1]
    assert_close(products.mean(axis=0), expected.reshape(size, size), error, "covariance", 1e-3)


def test_vectors_of_a_batch_draw_independently() -> None:
    # The same vector many times: the sum of the counts is binomial in all slots together.
    update = update_parameters(5, True, False)
    n = 16
    x, d = X[:1].repeat(n, 1), D[:1].repeat(n, 1)
    found = counts(x, d, update, 0.04, 3000)
    scales = trains(update, x[0].numpy(), d[0].numpy(), 0.04, DW)
    p_x, p_d = probabilities(scales, x[0].numpy(), d[0].numpy())
    p, slots = np.outer(p_d, p_x), n * scales.bl
    assert_mean(np.abs(found), slots * p, "counts")
    assert_variance(np.abs(found), slots * p * (1.0 - p), "counts")


def test_certain_pulses_make_exactly_bl_steps() -> None:
    update = update_parameters(9, False, False)
    found = counts(X[:1], D[:1], update, 1e9, 3)
    assert np.array_equal(found, np.broadcast_to(-9.0 * np.sign(np.outer(D[0], X[0])), found.shape))


def test_zeros_change_nothing() -> None:
    tile, _ = DEVICES["soft_bounds-noise0.4"].tile()
    zero_x, zero_d = torch.zeros_like(X), torch.zeros_like(D)
    for x, d in ((X, zero_d), (zero_x, D), (zero_x, zero_d)):
        assert not repeated(tile, "fast", x, d, 5)["weights"].any()


def test_no_learning_rate_no_change() -> None:
    case = DEVICES["soft_bounds-noise0.4"]
    tile, _ = case.tile()
    tile.set_learning_rate(0.0)
    assert not repeated(tile, "fast", X, D, 5)["weights"].any()


def test_repeats_of_one_key_are_the_same_and_seeds_differ() -> None:
    results = []
    for seed in (1, 1, 2):
        tile, _ = DEVICES["soft_bounds-noise0.4"].tile()
        tile.seed(seed, 0)
        results.append(repeated(tile, "fast", X, D, 1)["weights"])
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


# -- where no formula reaches: bounds cut the steps, apparent weights are noisy --------------------

SATURATED = {
    "soft_bounds": soft_bounds(0.1, dw_min_std=0.5, up_down=0.2),
    "soft_bounds_add": soft_bounds(0.1, dw_min_std=0.5, mult_noise=False),
    "reference": reference(0.1, dw_min_std=0.5, up_down=0.2),
    "reference_mult": reference(0.1, dw_min_std=0.5, mult_noise=True),
    "linear": linear_step(0.1, dw_min_std=0.5, up_down=0.2),
    "linear_add": linear_step(0.1, dw_min_std=0.5, mult_noise=False),
    "constant": constant_step(0.1, dw_min_std=0.5, up_down=0.2),
}


# Steps that are no affine function of the weight, so that the moments have no recursion.
CURVED = {
    "exp": exp_step(DW, dw_min_std=0.3, up_down=0.2),
    "exp_complex": exp_step(DW, dw_min_std=0.3, dw_min_std_add=0.1, dw_min_std_slope=0.2),
    "pow": pow_step(DW, dw_min_std=0.3, up_down=0.2),
    "pow_reference": pow_reference(DW, dw_min_std=0.3),
}
CURVED |= {
    "exp_large": exp_step(0.1, dw_min_std=0.5),
    "pow_large": pow_step(0.1, dw_min_std=0.5),
    "pow_reference_large": pow_reference(0.1, dw_min_std=0.5),
}


@pytest.mark.parametrize("name", CURVED)
def test_curved_steps_agree_with_exact(name: str) -> None:
    tile, w0 = Case(CURVED[name], "constant").tile()
    expected = Case(CURVED[name], "constant").moments(tile, w0)  # of the pulses alone
    fast = repeated(tile, "fast", X, D, REPEATS)["weights"]
    exact = repeated(tile, "exact", X, D, REPEATS)["weights"]
    step = 3.0 * CURVED[name].dw_min
    assert_agrees_with_exact(fast, exact, expected.pulses, step, 0.6, "fast, against exact")


@pytest.mark.parametrize("name", SATURATED)
def test_saturated_weights_agree_with_exact(name: str) -> None:
    tile = make_tile(SATURATED[name], D.shape[1], X.shape[1], lr=0.8)
    parameters = hidden(tile)
    shift = parameters.get("reference", 0.0)
    low, high = parameters["min_bound"] - shift, parameters["max_bound"] - shift
    at_top = (np.indices(low.shape).sum(axis=0) % 2).astype(bool)
    w0 = np.where(at_top, high, low).astype(np.float32).astype(float)
    set_matrices(tile, {"weights": w0})

    fast = repeated(tile, "fast", X, D, REPEATS)["weights"]
    exact = repeated(tile, "exact", X, D, REPEATS)["weights"]
    for arm in (fast, exact):
        assert (w0 + arm <= high + 1e-6).all()
        assert (w0 + arm >= low - 1e-6).all()
    pulses = np.full(w0.shape, 8.0)
    assert_agrees_with_exact(fast, exact, pulses, 0.25, 0.5, "fast, against exact")
    assert (np.abs(fast).mean(axis=0) > 0.01).sum() > 10  # some did move


WRITE_NOISE = {
    "soft_bounds": (soft_bounds(DW, write_noise_std=2.0), "linear_mult"),
    "soft_bounds_add": (soft_bounds(DW, write_noise_std=2.0, mult_noise=False), "linear_add"),
    "reference": (reference(DW, write_noise_std=2.0), "reference_add"),
    "linear": (linear_step(DW, write_noise_std=2.0), "linear_mult"),
}


@pytest.mark.parametrize("name", WRITE_NOISE)
def test_write_noise_is_on_the_apparent_weight_only(name: str) -> None:
    device, rule = WRITE_NOISE[name]
    case = Case(device, rule)
    tile, w0 = case.tile()
    expected = case.moments(tile, w0)
    fast = repeated(tile, "fast", X, D, 2 * REPEATS)
    assert_mean(fast["persistent"], expected.mean, "persistent")
    assert_variance(fast["persistent"], expected.variance, "persistent")

    noise = fast["weights"] - fast["persistent"]
    touched = 1.0 - expected.silent
    assert_mean(noise, 0.0 * touched, "write noise")
    assert_variance(noise, touched * (2.0 * DW) ** 2, "write noise", tiny=1e-9)
    # Independent of the cycle noise that went into the same weight.
    product = noise * (fast["persistent"] - fast["persistent"].mean(axis=0))
    assert_mean(product, 0.0 * touched, "write noise times change", tiny=1e-12)

    exact = repeated(tile, "exact", X, D, REPEATS)
    for matrix in ("persistent", "weights"):
        assert_same_moments(fast[matrix], exact[matrix], f"{matrix}, against exact", tiny=2e-5)


def test_soft_bounds_stop_at_the_bounds() -> None:
    # Many certain pulses in one direction end at the bound of each device.
    tile = make_tile(
        soft_bounds(0.05, dw_min_std=0.0), 5, 7, lr=1e9, update=update_parameters(31, False, False)
    )
    parameters = hidden(tile)
    for sign, bound in ((-1.0, "max_bound"), (1.0, "min_bound")):
        for _ in range(40):
            tile.update(torch.ones(1, 7), sign * torch.ones(1, 5))
        assert np.abs(tile.telemetry()[0].weights.numpy() - parameters[bound]).max() < 1e-4


def test_device_to_device_spread_is_in_the_step() -> None:
    # One certain pulse from weight 0 moves every cross-point by its own dwmin.
    tile = make_tile(
        soft_bounds(DW, dw_min_std=0.0, dw_min_dtod=0.3),
        16, 16, lr=1e9, update=update_parameters(1, False, False),
    )  # fmt: skip
    parameters = hidden(tile)
    up = repeated(tile, "fast", torch.ones(1, 16), -torch.ones(1, 16), 1)["weights"][0]
    down = repeated(tile, "fast", torch.ones(1, 16), torch.ones(1, 16), 1)["weights"][0]
    assert np.allclose(up, parameters["dwmin_up"], rtol=1e-6)
    assert np.allclose(down, -parameters["dwmin_down"], rtol=1e-6)
    assert parameters["dwmin_up"].std() == pytest.approx(0.3 * DW, rel=0.2)
