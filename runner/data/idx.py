"""Data sets in the IDX files of MNIST: found, fetched and checked."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from runner.config.schema import DataConfig
from runner.data._torchvision import import_datasets
from runner.data.splits import Split, to_split
from runner.errors import UserError

_TIMEOUT_S = 20.0


def load_idx(
    cfg: DataConfig, folder: Path, sums: Mapping[str, str], fetch: Callable[[Path], Path]
) -> tuple[Split, Split]:
    """Training and test images from four unpacked IDX files.

    Args:
        cfg: the data set, for its name and ``download``.
        folder: where the files are kept.
        sums: MD5 by file name.
        fetch: gets the files into a folder of its own choice inside the given one.

    Raises:
        UserError: files are missing and can not be fetched, or are damaged.
    """
    missing = [name for name in sums if not (folder / name).is_file()]
    if missing:
        if not cfg.download:
            raise UserError(
                f"data={cfg.name}: {folder / missing[0]} is missing and data.download=false; "
                "allow the download or point data.root at the files"
            )
        _fetch(cfg.name, folder, sums, fetch)
    files = {name: _read(cfg.name, folder / name, sums) for name in sums}
    train, test = (
        to_split(
            _images(files[f"{part}-images-idx3-ubyte"]), _labels(files[f"{part}-labels-idx1-ubyte"])
        )
        for part in ("train", "t10k")
    )
    return train, test


def data_root(cfg: DataConfig) -> Path:
    """``data.root``; its default follows WARMTILE_CACHE or XDG_CACHE_HOME where one is set."""
    return default_root() if cfg.root == DataConfig().root else cfg.root_path


def default_root() -> Path:
    """Where data sets are kept unless ``data.root`` says otherwise."""
    if cache := os.environ.get("WARMTILE_CACHE"):
        return Path(cache).expanduser() / "data"
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache).expanduser() / "warmtile" / "data"
    return DataConfig().root_path


def from_mirrors(name: str, work: Path) -> Path | None:
    """Fetch through torchvision; None where none of its mirrors gives the files.

    Args:
        name: torchvision's class, ``"MNIST"`` or ``"FashionMNIST"``.
        work: folder to fetch into.
    """
    make = getattr(import_datasets(), name)
    with socket_timeout(), contextlib.redirect_stdout(io.StringIO()):
        try:
            return Path(make(str(work), train=True, download=True).raw_folder)
        except (RuntimeError, URLError, OSError, EOFError):
            return None


@contextlib.contextmanager
def socket_timeout(seconds: float = _TIMEOUT_S) -> Iterator[None]:
    """Without it, a firewall that drops packets holds torchvision's download for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read(data: str, path: Path, sums: Mapping[str, str]) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"data={data}: {path} can not be read: {error.strerror}") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != sums[path.name]:
        raise UserError(
            f"data={data}: {path} is damaged (md5 {found}, not {sums[path.name]}): "
            "delete it and it will be fetched again"
        )
    return content


def _fetch(data: str, folder: Path, sums: Mapping[str, str], fetch: Callable[[Path], Path]) -> None:
    """Put the files into `folder`; only whole and checked files ever appear there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as work:
            source = fetch(Path(work))
            for name in sums:
                _read(data, source / name, sums)
                os.replace(source / name, folder / name)
    except OSError as error:
        raise UserError(f"data.root={folder.parent.parent}: {error.strerror or error}") from error


def _images(idx: bytes) -> Tensor:
    """Images of an idx3 file, uint8 ``[n, 28, 28]``: a header of 16 bytes, then the pixels."""
    return torch.from_numpy(np.frombuffer(idx, np.uint8, offset=16).reshape(-1, 28, 28).copy())


def _labels(idx: bytes) -> Tensor:
    """Labels of an idx1 file, uint8 ``[n]``: a header of 8 bytes, then the labels."""
    return torch.from_numpy(np.frombuffer(idx, np.uint8, offset=8).copy())
