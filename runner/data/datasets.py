"""From ``data.name`` to a `Dataset` in memory."""

from __future__ import annotations

from collections.abc import Callable

from runner.config.schema import DataConfig
from runner.data.fake import load_fake
from runner.data.image_folder import load_image_folder
from runner.data.mnist import load_mnist
from runner.data.mnist5k import load_mnist5k
from runner.data.splits import Dataset, Split, limit, normalized, split_off_validation

Source = Callable[[DataConfig], tuple[Split, Split, int]]

SOURCES: dict[str, Source] = {
    "mnist": load_mnist,
    "mnist5k": load_mnist5k,
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
    train, test, n_classes = SOURCES[cfg.name](cfg)
    if cfg.normalize:
        train, test = normalized(train, test)
    train, val = split_off_validation(train, cfg.val_fraction)
    return Dataset(cfg.name, limit(train, cfg.train_limit), val, test, n_classes)
