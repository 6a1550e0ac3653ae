"""Mini-batches of images as large as CIFAR's, augmented while a network trains on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmark.subjects import TrainingStep, Work
from runner.config import load_config
from runner.config.schema import DataConfig
from runner.data import Split, batches

_USUAL = ("data.crop_padding=4", "data.flip=true", "data.cutout=16")
POLICIES = {
    "as they are": (
        "data.auto_augment=false", "data.crop_padding=0", "data.flip=false", "data.cutout=0",
    ),
    "crop, flip, cutout": ("data.auto_augment=false", *_USUAL),
    "crop, flip, cutout, AutoAugment": ("data.auto_augment=true", *_USUAL),
}  # fmt: skip
"""Overrides by augmentation; the last is the paper's for CIFAR (arXiv 2510.02516)."""


def images_like_cifar(n: int) -> Split:
    """Random images `[n, 3, 32, 32]` from 0 to 1 and labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 3, 32, 32, generator=generator)
    return Split(images, torch.randint(0, 10, (n,), generator=generator))


def augmentation(policy: str, workers: int = 0) -> DataConfig:
    """The data configuration of one of `POLICIES`."""
    overrides = [*POLICIES[policy], f"data.workers={workers}"]
    return load_config(["experiment=resnet18_cifar10", *overrides]).data


def endless(split: Split, cfg: DataConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Mini-batches of one epoch after the other."""
    for epoch in itertools.count(1):
        yield from batches(split, cfg.batch_size, 1, epoch, augment=cfg)


def loading(split: Split, policy: str) -> Work:
    """Prepare one mini-batch and do nothing with it."""
    source = endless(split, augmentation(policy))
    return lambda: next(source)


def training(step: TrainingStep, split: Split, policy: str, workers: int) -> Callable[[], None]:
    """Take the next mini-batch and train on it."""
    source = endless(split, augmentation(policy, workers))

    def call() -> None:
        step.images, step.labels = next(source)
        step.step()

    return call
