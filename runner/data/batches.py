"""The order of the training images: a function of (seed, epoch) and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from runner.config.schema import DataConfig
from runner.data.augment import augmented
from runner.data.keyed import mix
from runner.data.splits import Split


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """A permutation of ``range(n)``, int64 ``[n]``, that depends on `seed` and `epoch` alone."""
    generator = torch.Generator().manual_seed(mix(seed, epoch))
    return torch.randperm(n, generator=generator)


def n_batches(n: int, batch_size: int) -> int:
    """Number of mini-batches of an epoch; the last one may be smaller."""
    return -(-n // batch_size)


def batches(
    split: Split,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int = 0,
    augment: DataConfig | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the shuffled mini-batches of one epoch.

    Args:
        split: images ``[n, c, h, w]`` and labels ``[n]``.
        batch_size: images in a mini-batch; the last one holds what is left.
        seed: seed of the run.
        epoch: number of the epoch, from 1.
        start: mini-batches to leave out at the beginning, for a resumed epoch.
        augment: how the images are augmented; None = not at all.

    Yields:
        images ``[b, c, h, w]`` and labels ``[b]``.
    """
    order = epoch_order(len(split), seed, epoch)
    for rows in order.split(batch_size)[start:]:
        images = split.images[rows]
        if augment is not None:
            images = augmented(images, rows, augment, seed, epoch)
        yield images, split.labels[rows]
