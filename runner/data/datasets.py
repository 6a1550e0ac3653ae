"""From ``data.name`` to a `Dataset` in memory."""

from __future__ import annotations

from collections.abc import Callable

from runner.config.schema import DataConfig
from runner.data.cifar import load_cifar
from runner.data.fake import load_fake
from runner.data.fashion_mnist import load_fashion_mnist
from runner.data.image_folder import load_image_folder
from runner.data.mnist import load_mnist
from runner.data.mnist5k import load_mnist5k
from runner.data.splits import Dataset, Split, limit, normalized, split_off_validation

Source = Callable[[DataConfig], tuple[Split, Split, int]]

SOURCES: dict[str, Source] = {
    "mnist": load_mnist,
    "mnist5k": load_mnist5k,
    "fashion_mnist": load_fashion_mnist,
    "cifar10": load_cifar,
    "cifar100": load_cifar,
    "image_folder": load_image_folder,
    "fake": load_fake,
}
"""Loaders by ``data.name``: each returns the training split, the test split, the class count."""


def load_data(cfg: DataConfig) -> Dataset:
    """Load, check and split a data set.

    The validation set is split off first and ``data.train_limit`` then picks from the rest, so
    that validation images are the same for every limit.

    Raises:
        UserError: data that is missing, unreachable or damaged, or a split without images.
    """
    own = getattr(cfg, "load", None)
    train, test, n_classes = own() if own is not None else SOURCES[cfg.name](cfg)
    if cfg.normalize:
        train, test = normalized(train, test)
    train, val = split_off_validation(train, cfg.val_fraction)
    return Dataset(cfg.name, limit(train, cfg.train_limit), val, test, n_classes)
