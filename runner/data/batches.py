"""The order of the training images: a function of (seed, epoch) and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from runner.data.splits import Split

_MASK = 2**64 - 1


def mix(*words: int) -> int:
    """Mix integers into one seed of 32 bits.

    Each word is added to the state, which then goes through the finaliser of SplitMix64 (Steele,
    Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). The upper half
    is returned, because torch's CPU generator reads 32 bits of its seed only.

    Args:
        words: non-negative integers, taken modulo 2**64; their order counts.
    """
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 32


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """A permutation of ``range(n)``, int64 ``[n]``, that depends on `seed` and `epoch` alone."""
    generator = torch.Generator().manual_seed(mix(seed, epoch))
    return torch.randperm(n, generator=generator)


def n_batches(n: int, batch_size: int) -> int:
    """Number of mini-batches of an epoch; the last one may be smaller."""
    return -(-n // batch_size)


def batches(
    split: Split, batch_size: int, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the shuffled mini-batches of one epoch.

    Args:
        split: images ``[n, c, h, w]`` and labels ``[n]``.
        batch_size: images in a mini-batch; the last one holds what is left.
        seed: seed of the run.
        epoch: number of the epoch, from 1.
        start: mini-batches to leave out at the beginning, for a resumed epoch.

    Yields:
        images ``[b, c, h, w]`` and labels ``[b]``.
    """
    order = epoch_order(len(split), seed, epoch)
    for rows in order.split(batch_size)[start:]:
        yield split.images[rows], split.labels[rows]
