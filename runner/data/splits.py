"""A data set in memory, and how it is split."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runner.errors import UserError

# Splits belong to the data set, not to the run: the same images for every seed.
_SPLIT_SEED = 20251
_LIMIT_SEED = 20252


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Args:
        images: float32 ``[n, c, h, w]``.
        labels: int64 ``[n]``.
        mean, deviation: what the images were shifted and scaled by, ``[1, c, 1, 1]``; None where
            they are still from 0 to 1.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor | None = None
    deviation: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Split:
        """The images with the indices `rows`, in that order."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    """Training, validation (None where nothing is split off) and test images of one data set."""

    name: str
    train: Split
    val: Split | None
    test: Split
    n_classes: int

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return tuple(self.train.images.shape[1:])


def to_split(images: Tensor, labels: Tensor) -> Split:
    """Turn bytes ``[n, h, w]`` or ``[n, c, h, w]`` into a `Split` with values from 0 to 1.

    The images are not centred: a black pixel stays exactly 0 and so draws no pulse, as in
    aihwkit's own MNIST examples.
    """
    if images.dim() == 3:
        images = images.unsqueeze(1)
    return Split(images.float().div_(255.0), labels.long())


def normalized(train: Split, test: Split) -> tuple[Split, Split]:
    """Shift and scale each channel to mean 0 and deviation 1 over the training images."""
    mean = train.images.mean((0, 2, 3), keepdim=True)
    deviation = train.images.std((0, 2, 3), keepdim=True).clamp_(min=1e-6)
    return (
        Split((train.images - mean).div_(deviation), train.labels, mean, deviation),
        Split((test.images - mean).div_(deviation), test.labels, mean, deviation),
    )


def stratified(labels: Tensor, share: float, seed: int = _SPLIT_SEED) -> tuple[Tensor, Tensor]:
    """Split indices so that each class gives `share` of its images, rounded, to the second part.

    Args:
        labels: int64 ``[n]``.
        share: from 0 to 1.
        seed: seed of the choice.

    Returns:
        two index tensors, each ascending, together ``range(n)``.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique(sorted=True):
        rows = (labels == label).nonzero().squeeze(1)
        picks = torch.randperm(len(rows), generator=generator)[: round(share * len(rows))]
        chosen[rows[picks]] = True
    return (~chosen).nonzero().squeeze(1), chosen.nonzero().squeeze(1)


def split_off_validation(train: Split, fraction: float) -> tuple[Split, Split | None]:
    """Take `fraction` of each class off the training set; None where `fraction` is 0."""
    if fraction == 0:
        return train, None
    rest, val = stratified(train.labels, fraction)
    if len(val) == 0 or len(rest) == 0:
        raise UserError(
            f"data.val_fraction={fraction:g} leaves an empty split of {len(train)} images: "
            "choose a value further from 0 and 1"
        )
    return train.take(rest), train.take(val)


def limit(train: Split, n: int | None) -> Split:
    """A fixed random choice of `n` images; all of them where `n` is None."""
    if n is None:
        return train
    if n > len(train):
        raise UserError(
            f"data.train_limit={n}: the training set has {len(train)} images; "
            "choose at most that, or null for all"
        )
    generator = torch.Generator().manual_seed(_LIMIT_SEED)
    rows = torch.randperm(len(train), generator=generator)[:n].sort().values
    return train.take(rows)
