"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) through torchvision."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from urllib.error import URLError

import numpy as np
import torch

from runner.config.schema import DataConfig
from runner.data._torchvision import import_datasets
from runner.data.idx import data_root, socket_timeout
from runner.data.splits import Split, to_split
from runner.errors import UserError

_CLASSES = {"cifar10": ("CIFAR10", 10), "cifar100": ("CIFAR100", 100)}


def load_cifar(cfg: DataConfig) -> tuple[Split, Split, int]:
    """50,000 training and 10,000 test images, 3 x 32 x 32, checked by torchvision's sums.

    Raises:
        UserError: the files are missing and can not be fetched, or are damaged.
    """
    name, n_classes = _CLASSES[cfg.name]
    train, test = (_part(cfg, name, train=part) for part in (True, False))
    return train, test, n_classes


def _part(cfg: DataConfig, name: str, *, train: bool) -> Split:
    cls = getattr(import_datasets(), name)
    root = data_root(cfg)
    archive = root / cls.filename
    advice = f"put {cls.filename} into data.root, or use data=image_folder with the images as files"
    try:
        with (
            socket_timeout(),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            # numpy warns of the way in which these old files were pickled.
            warnings.simplefilter("ignore")
            found = cls(str(root), train=train, download=cfg.download)
    except (URLError, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"data={cfg.name}: {archive} is not there and {cls.url} can not be reached: {advice}"
        ) from error
    except RuntimeError as error:
        how = "" if cfg.download else " and data.download=false"
        raise UserError(
            f"data={cfg.name}: the files in {root} are missing or damaged{how}: {advice}"
        ) from error
    except (OSError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise UserError(f"data={cfg.name}: {root}: {error}") from error
    images = torch.from_numpy(np.ascontiguousarray(found.data.transpose(0, 3, 1, 2)))
    return to_split(images, torch.tensor(found.targets))
