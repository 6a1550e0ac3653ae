"""Fashion-MNIST from an installed package, unpacked; never half there."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import pytest

from runner.config.schema import DataConfig
from runner.data import fashion_mnist
from runner.data.fashion_mnist import load_fashion_mnist
from runner.errors import UserError


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package of two training images and one test image, in the files' own format."""
    folder = tmp_path / "package"
    folder.mkdir()
    sums = {}
    for part, n in (("train", 2), ("t10k", 1)):
        files = {
            f"{part}-images-idx3-ubyte": struct.pack(">IIII", 2051, n, 28, 28) + bytes(784 * n),
            f"{part}-labels-idx1-ubyte": struct.pack(">II", 2049, n) + bytes(range(3, 3 + n)),
        }
        for name, content in files.items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            sums[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(fashion_mnist, "MD5", sums)
    monkeypatch.setattr(fashion_mnist, "_INSTALLED", folder)
    return folder


def config(root: Path, **keys) -> DataConfig:
    return DataConfig(name="fashion_mnist", root=str(root), **keys)


@pytest.mark.usefixtures("package")
def test_an_installed_package_is_used_and_kept(tmp_path, monkeypatch):
    train, test, classes = load_fashion_mnist(config(tmp_path / "data"))
    assert (len(train), len(test), classes) == (2, 1, 10)
    assert train.labels.tolist() == [3, 4]
    monkeypatch.setattr(fashion_mnist, "_INSTALLED", tmp_path / "gone")
    again, _, _ = load_fashion_mnist(config(tmp_path / "data", download=False))
    assert again.labels.tolist() == [3, 4]


def test_a_damaged_package(package, tmp_path):
    (package / "train-labels-idx1-ubyte.gz").write_bytes(b"no gzip at all")
    with pytest.raises(UserError, match=r"data=fashion_mnist: .*train-labels"):
        load_fashion_mnist(config(tmp_path / "data"))
    assert not list((tmp_path / "data" / "FashionMNIST" / "raw").iterdir())


def test_no_download(tmp_path):
    with pytest.raises(UserError, match=r"train-images.* is missing and data.download=false"):
        load_fashion_mnist(config(tmp_path / "data", download=False))
