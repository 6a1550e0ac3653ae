"""The order of the training images: a function of (seed, epoch) and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from runner.config.schema import DataConfig
from runner.data.augment import augmented, wanted
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
    rows = epoch_order(len(split), seed, epoch).split(batch_size)[start:]
    if augment is None or not wanted(augment):
        for chosen in rows:
            yield split.images[chosen], split.labels[chosen]
        return
    prepared = _Prepared(split, rows, augment, seed, epoch)
    if augment.workers == 0:
        for i in range(len(prepared)):
            yield prepared[i]
        return
    # Forked, so that the images are shared and not copied. A worker has one thread. A generator of
    # its own, because a loader draws a seed that nobody uses here.
    yield from DataLoader(
        prepared,
        batch_size=None,
        num_workers=augment.workers,
        multiprocessing_context="fork",
        generator=torch.Generator(),
    )


@dataclass(frozen=True)
class _Prepared(TorchDataset[tuple[Tensor, Tensor]]):
    """The mini-batches of an epoch, augmented when they are asked for."""

    split: Split
    rows: Sequence[Tensor]
    augment: DataConfig
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        chosen = self.rows[index]
        images = augmented(self.split, chosen, self.augment, self.seed, self.epoch)
        return images, self.split.labels[chosen]
