"""The keyed generator: uniform, and independent over lines, vectors, slots, rows and keys.

Keys are fixed, so every test is repeatable; a test of a good generator fails for a share of
`LEVEL` (1e-4) of all keys.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from device_ext import _core
from tests.engine.statistics import LEVEL, Array, assert_frequencies, z_bound
from tests.engine.tiles import KERNELS

KEYS = [_core.child_key(_core.child_key(2025, index), 77) for index in range(4)]
N = 1 << 18

Bits = NDArray[np.uint32]


def uniform(bits: Bits) -> Array:
    return bits.astype(np.float64) / 2.0**32


def streams(keys: list[int], n: int) -> Bits:
    """The first n draws of each key, [keys, n]."""
    return np.stack([_core.draws(key, 0, n) for key in keys])


def vector_keys(n: int, base: int = KEYS[0]) -> list[int]:
    """Keys of neighbouring vectors of one update."""
    return [_core.child_key(base, vector) for vector in range(n)]


def assert_independent(a: Bits, b: Bits, what: str, cells: int = 64) -> None:
    """Chi-square test of the joint distribution of paired draws, on grids of top and low bits."""
    for part, (u, v) in {
        "top": (a >> 26, b >> 26),
        "low": ((a >> 8) & 63, (b >> 8) & 63),  # the lowest bits that the engine looks at
        "mixed": (a >> 26, (b >> 8) & 63),
    }.items():
        counts = np.bincount(
            (u.ravel().astype(np.int64) * cells + v.ravel()), minlength=cells * cells
        )
        assert_frequencies(counts, np.full(cells**2, a.size / cells**2), f"{what}, {part} bits")


@pytest.mark.parametrize("key", KEYS)
def test_draws_of_a_stream_are_uniform(key: int) -> None:
    bits = _core.draws(key, 0, N)
    for shift in (24, 16, 8):
        counts = np.bincount((bits >> shift) & 255, minlength=256)
        assert_frequencies(counts, np.full(256, N / 256), f"bits {shift} to {shift + 7}")
    p = stats.kstest(uniform(bits), "uniform").pvalue
    assert 5e-5 < p < 1.0 - 5e-5, f"Kolmogorov-Smirnov p = {p:.2g}"


@pytest.mark.parametrize("key", KEYS)
def test_every_bit_is_fair(key: int) -> None:
    bits = _core.draws(key, 0, N)
    ones = np.array([np.count_nonzero(bits & np.uint32(1 << k)) for k in range(8, 32)])
    z = (ones - N / 2) / np.sqrt(N / 4)
    assert np.abs(z).max() < z_bound(len(z)), f"z of bits 8 to 31: {np.round(z, 1)}"


def test_first_draws_of_many_keys_are_uniform() -> None:
    # A short vector uses the first few positions of a great many streams.
    bits = streams(vector_keys(1 << 14), 8)
    for line in range(8):
        counts = np.bincount(bits[:, line] >> 24, minlength=256)
        assert_frequencies(counts, np.full(256, len(bits) / 256), f"line {line}")


@pytest.mark.parametrize("lag", [1, 2, 3, 8, 16, 64, 512])
def test_neighbouring_lines_are_independent(lag: int) -> None:
    for key in KEYS:
        bits = _core.draws(key, 0, N + lag)
        assert_independent(bits[:-lag], bits[lag:], f"lines {lag} apart")


def test_neighbouring_vectors_are_independent() -> None:
    bits = streams(vector_keys(513), 512)
    assert_independent(bits[:-1], bits[1:], "neighbouring vectors")


def test_vectors_with_shifted_lines_are_independent() -> None:
    bits = streams(vector_keys(513), 512)
    assert_independent(bits[:-1, :-1], bits[1:, 1:], "line j of a vector and j + 1 of the next")


@pytest.mark.parametrize("gap", [1, 2])
def test_slots_are_independent(gap: int) -> None:
    # Slot s draws x from stream 2s and d from 2s + 1.
    pairs = [
        (_core.child_key(key, slot), _core.child_key(key, slot + gap))
        for key, slot in itertools.product(vector_keys(32), range(16))
    ]
    assert_independent(
        streams([a for a, _ in pairs], 512), streams([b for _, b in pairs], 512), "two streams"
    )


def test_child_of_a_key_is_independent_of_it() -> None:
    # Cycle noise draws from a row's key, write noise from a child of it.
    keys = vector_keys(512, KEYS[1])
    children = [_core.child_key(key, 2 << 32) for key in keys]
    assert_independent(streams(keys, 512), streams(children, 512), "parent and child")


def test_streams_are_not_shifted_copies() -> None:
    # Counters would overlap if a key only moved the start of one common sequence.
    keys = vector_keys(64, KEYS[2])
    found = np.concatenate([_core.draws(key, 0, 4096) for key in keys])
    repeated = len(found) - len(np.unique(found))
    expected = len(found) ** 2 / 2.0**33
    assert abs(repeated - expected) < z_bound(1) * np.sqrt(expected) + 1


def test_draws_depend_on_position_alone() -> None:
    whole = _core.draws(KEYS[0], 0, 1000)
    assert np.array_equal(_core.draws(KEYS[0], 123, 200), whole[123:323])


def test_child_keys_differ_and_depend_on_parent_and_index() -> None:
    keys = {_core.child_key(p, i) for p in vector_keys(200) for i in range(200)}
    assert len(keys) == 200 * 200


# -- normal numbers --------------------------------------------------------------------------------


def normal_sample() -> Array:
    return np.concatenate([_core.normals(_core.draws(k, 0, N)) for k in KEYS]).astype(np.float64)


def test_normals_are_normal() -> None:
    z = normal_sample()
    n = len(z)
    powers = {1: (0.0, 1.0), 2: (1.0, 2.0), 3: (0.0, 15.0), 4: (3.0, 96.0)}  # mean, variance
    for power, (mean, variance) in powers.items():
        score = ((z**power).mean() - mean) / np.sqrt(variance / n)
        assert abs(score) < z_bound(4), f"moment {power}: z = {score:.2f}"
    p = stats.kstest(z, "norm").pvalue
    assert 5e-5 < p < 1.0 - 5e-5, f"Kolmogorov-Smirnov p = {p:.2g}"


def test_tails_of_normals_have_their_share() -> None:
    z = normal_sample()
    for threshold in (2.0, 3.0, 4.0):
        for tail, probability in ((z > threshold, stats.norm.sf(threshold)),
                                  (z < -threshold, stats.norm.sf(threshold))):  # fmt: skip
            p = stats.binomtest(int(tail.sum()), len(z), float(probability)).pvalue
            assert p > 1e-5, f"beyond {threshold}: {int(tail.sum())} of {len(z)}, p = {p:.2g}"


@pytest.mark.parametrize("kernels", KERNELS)
def test_normals_are_the_quantiles_of_their_bits(kernels: str) -> None:
    assert _core.use_kernels(kernels)
    # 2**23 points, symmetric about 0; all but the outermost within 1e-5 of scipy's quantile.
    step = np.arange(0, 1 << 23, 37, dtype=np.uint32)
    step = np.concatenate([step[:200], step, (1 << 23) - 1 - step[:200]])
    exact = stats.norm.ppf((step + 0.5) / 2.0**23)
    found = _core.normals((step << 9).astype(np.uint32)).astype(np.float64)
    error = np.abs(found - exact) / np.maximum(1.0, np.abs(exact))
    assert error.max() < 1e-5, f"{error.max():.2g} at quantile {exact[error.argmax()]:.3f}"
    assert np.abs(found).max() < 5.31


def test_normals_are_symmetric_to_the_bit() -> None:
    bits = _core.draws(KEYS[3], 0, N)
    assert np.array_equal(_core.normals(bits), -_core.normals(~bits))


def test_noise_of_neighbouring_keys_is_uncorrelated() -> None:
    keys = vector_keys(257, KEYS[3])
    z = np.stack([_core.normals(_core.draws(k, 0, 1024)) for k in keys]).astype(np.float64)
    children = [_core.child_key(k, 2 << 32) for k in keys]
    write = np.stack([_core.normals(_core.draws(k, 0, 1024)) for k in children]).astype(np.float64)
    pairs = {
        "lines": (z[:, :-1], z[:, 1:]), "rows": (z[:-1], z[1:]), "write noise": (z, write)
    }  # fmt: skip
    for what, (a, b) in pairs.items():
        for name, (u, v) in {"value": (a, b), "size": (a**2 - 1, b**2 - 1)}.items():
            r = float(np.mean(u * v) / np.sqrt(np.mean(u**2) * np.mean(v**2)))
            assert abs(r) * np.sqrt(a.size) < z_bound(6), f"{what}, {name}: r = {r:.5f}"


# -- which lines fire ------------------------------------------------------------------------------

LINES = np.array(
    [0.0, 1e-6, 0.004, -0.02, 0.1, -0.3, 0.5, -0.5, 0.77,
     0.9999, 1.0, -1.0, 1.5, -7.0, -0.0, 0.25, 0.33],
    dtype=np.float32,
)  # fmt: skip


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("scale", [0.05, 0.6, 1.0, 3.0])
def test_lines_fire_with_their_probability(kernels: str, scale: float) -> None:
    assert _core.use_kernels(kernels)
    repeats = 20000
    fired = np.zeros((repeats, len(LINES)))
    for r, key in enumerate(vector_keys(repeats)):
        lines = np.array(_core.fire(LINES, scale, key), dtype=np.int64)
        assert np.array_equal(np.sign(lines), np.where(LINES[np.abs(lines) - 1] < 0, -1, 1))
        fired[r, np.abs(lines) - 1] = 1.0
    counts, p = fired.sum(axis=0), np.minimum(1.0, np.abs(LINES.astype(np.float64)) * scale)
    tails = np.minimum(
        stats.binom.cdf(counts, repeats, p), stats.binom.sf(counts - 1, repeats, p)
    )  # exact: the rarest line fires once in a million
    assert tails.min() > LEVEL / (2 * len(LINES)), f"line {tails.argmin()}: {counts}"
    centred = fired - fired.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    varying = spread > 0.1
    r = (centred.T @ centred / repeats)[np.ix_(varying, varying)]
    r /= np.outer(spread[varying], spread[varying])
    off = r[~np.eye(len(r), dtype=bool)]
    assert np.abs(off).max() * np.sqrt(repeats) < z_bound(off.size), "lines fire together"


def test_certain_lines_always_fire_and_zero_lines_never() -> None:
    for key in vector_keys(500):
        assert _core.fire(LINES, 1e9, key) == [
            -(j + 1) if v < 0 else j + 1 for j, v in enumerate(LINES) if v != 0
        ]
        assert _core.fire(LINES, 0.0, key) == []


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("expected", [0.003, 0.1, 0.49, 0.7])
def test_lines_of_a_block_are_independent(kernels: str, expected: float) -> None:
    # Below half a line a block is opened by one draw; its lines must not show it.
    assert _core.use_kernels(kernels)
    block, blocks = 16, 1 << 16
    p = np.linspace(0.0, 2.0, block) * expected / block
    p[5] = 0.0
    values = np.where(np.arange(block) % 2 == 0, p, -p).astype(np.float32)
    lines = np.array(_core.fire(np.tile(values, blocks), 1.0, KEYS[1]), dtype=np.int64)
    fired = np.zeros(block * blocks)
    fired[np.abs(lines) - 1] = 1.0
    fired = fired.reshape(blocks, block)
    assert (np.diff(np.abs(lines)) > 0).all()
    assert not fired[:, p == 0.0].any()

    tails = np.minimum(
        stats.binom.cdf(fired.sum(axis=0), blocks, p),
        stats.binom.sf(fired.sum(axis=0) - 1, blocks, p),
    )
    assert tails.min() > LEVEL / (2 * block), f"lines fire {fired.mean(axis=0)}, not {p}"
    together = np.bincount(fired.sum(axis=1).astype(int), minlength=block + 1)
    law = np.array([1.0])
    for each in p:
        law = np.convolve(law, [1.0 - each, each])
    assert_frequencies(together, law * blocks, "lines of a block that fire together")
    # Pairs: each line against every other, by exact counts of both firing.
    both = fired.T @ fired
    for i, j in itertools.combinations(range(block), 2):
        tail = min(
            stats.binom.cdf(both[i, j], blocks, p[i] * p[j]),
            stats.binom.sf(both[i, j] - 1, blocks, p[i] * p[j]),
        )
        assert tail > LEVEL / (block * (block - 1)), f"lines {i} and {j}: {both[i, j]} times"
    # Neighbouring blocks have draws of their own.
    any_line = np.minimum(fired.sum(axis=1), 1.0)
    r = np.corrcoef(any_line[:-1], any_line[1:])[0, 1]
    assert abs(r) * math.sqrt(blocks) < z_bound(1), f"neighbouring blocks: r = {r:.4f}"


def test_draws_of_blocks_are_independent_of_those_of_lines() -> None:
    # Block b draws at position 2**31 + b of the stream whose position b is line b's.
    keys = vector_keys(512, KEYS[2])
    lines = streams(keys, 512)
    blocks = np.stack([_core.draws(key, 1 << 31, 512) for key in keys])
    assert_independent(lines, blocks, "line b and block b")
    assert_independent(lines[:, ::16], blocks[:, :32], "a block's first line and the block")
    assert_independent(blocks[:, :-1], blocks[:, 1:], "neighbouring blocks")


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 31, 33, 100, 257, 1023, 1024, 1025, 2300])
@pytest.mark.parametrize("scale", [0.4, 0.03, 0.002])
def test_kernels_fire_the_same_lines(n: int, scale: float) -> None:
    generator = np.random.default_rng(n)
    found: dict[str, list[list[int]]] = {}
    values = generator.normal(size=(50, n)).astype(np.float32)
    for kernels in KERNELS:
        assert _core.use_kernels(kernels)
        found[kernels] = [
            _core.fire(v, scale, key) for v, key in zip(values, vector_keys(50), strict=True)
        ]
    assert all(lines == found["portable"] for lines in found.values())
