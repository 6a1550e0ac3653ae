"""Statistical assertions: tolerances follow from the number of repeats and of comparisons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 1e-4
"""Chance that one call of an assertion fails although the law is met."""

Array = NDArray[np.float64]


def z_bound(comparisons: int, level: float = LEVEL) -> float:
    """Two-sided bound on the largest of many z-scores (Bonferroni)."""
    return float(stats.norm.isf(level / (2 * comparisons)))


def assert_mean(
    sample: Array, mean: Array | float, what: str, error: Array | float = 0.0, tiny: float = 1e-6
) -> None:
    """Assert that the mean over axis 0 is ``mean``.

    Args:
        sample: [repeats, ...].
        mean: expected, [...].
        what: for the message.
        error: standard error of ``mean`` itself, where it is an estimate too.
        tiny: absolute slack for float rounding; what has no spread must be this close.
    """
    own = sample.var(axis=0, ddof=1) / len(sample)
    assert_close(
        sample.mean(axis=0), mean, np.sqrt(own + np.square(error)), f"mean of {what}", tiny
    )


def assert_variance(
    sample: Array,
    variance: Array | float,
    what: str,
    error: Array | float = 0.0,
    tiny: float = 1e-10,
) -> None:
    """Assert that the variance over axis 0 is ``variance``; arguments as in `assert_mean`."""
    error = np.hypot(variance_error(sample), error)
    assert_close(sample.var(axis=0, ddof=1), variance, error, f"variance of {what}", tiny)


def variance_error(sample: Array) -> Array:
    """Standard error of the variance over axis 0, from the sample's own fourth moment."""
    deviation = sample - sample.mean(axis=0)
    fourth, second = (deviation**4).mean(axis=0), (deviation**2).mean(axis=0)
    return np.sqrt(np.maximum(fourth - second**2, 0.0) / len(sample))


def assert_same_moments(a: Array, b: Array, what: str, tiny: float = 1e-6) -> None:
    """Assert that two samples, [repeats, ...] each, agree in mean and variance."""
    assert_mean(a, b.mean(axis=0), what, np.sqrt(b.var(axis=0, ddof=1) / len(b)), tiny)
    assert_variance(a, b.var(axis=0, ddof=1), what, variance_error(b))


def assert_close(
    found: Array | float, expected: Array | float, error: Array | float, what: str, tiny: float
) -> None:
    """Assert |found - expected| <= z * error + tiny, with z from the number of comparisons."""
    found, expected = np.broadcast_arrays(np.asarray(found), np.asarray(expected))
    allowed = z_bound(found.size) * np.broadcast_to(np.asarray(error), found.shape) + tiny
    excess = np.abs(found - expected) / allowed
    worst = np.unravel_index(int(np.argmax(excess)), found.shape)
    assert excess[worst] <= 1.0, (
        f"{what} at {tuple(map(int, worst))}: {found[worst]:.8g}, expected {expected[worst]:.8g} "
        f"+- {allowed[worst]:.3g}"
    )


def assert_frequencies(
    counts: NDArray[Any], expected: Array, what: str, level: float = LEVEL
) -> None:
    """Chi-square test of counts against expected counts; the rarest cells are put together."""
    counts, expected = np.ravel(counts).astype(float), np.ravel(expected).astype(float)
    assert math.isclose(counts.sum(), expected.sum(), rel_tol=1e-9), what
    order = np.argsort(expected)
    counts, expected = counts[order], expected[order]
    rare = int(np.searchsorted(np.cumsum(expected), 5.0)) + 1  # cells that make one of 5 or more
    counts = np.append(counts[:rare].sum(), counts[rare:])
    expected = np.append(expected[:rare].sum(), expected[rare:])
    if len(counts) == 1:
        return
    statistic = float(((counts - expected) ** 2 / expected).sum())
    p = float(stats.chi2.sf(statistic, len(counts) - 1))
    # Both ends: numbers that are too even are no better than too uneven ones.
    assert level / 2 < p < 1.0 - level / 2, f"{what}: chi-square p = {p:.2g}"
