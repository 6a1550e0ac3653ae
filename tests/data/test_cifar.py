"""CIFAR through torchvision: its own files, read right, and clear words where they are wrong."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from runner.config.schema import DataConfig
from runner.data._torchvision import import_datasets
from runner.data.cifar import load_cifar
from runner.errors import UserError

N = 4


def write(path: Path, label_key: str, labels: list[int], seed: int) -> tuple[str, str]:
    """A batch file of `N` images in CIFAR's format: its name and its sum."""
    pixels = np.random.default_rng(seed).integers(0, 256, (N, 3072), dtype=np.uint8)
    path.write_bytes(pickle.dumps({"data": pixels, label_key: labels}))
    return path.name, hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar10(tmp_path, monkeypatch) -> Path:
    cls = import_datasets().CIFAR10
    folder = tmp_path / cls.base_folder
    folder.mkdir()
    train = [write(folder / f"data_batch_{i}", "labels", [i] * N, i) for i in (1, 2)]
    meta = folder / "batches.meta"
    meta.write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    monkeypatch.setattr(cls, "train_list", train)
    monkeypatch.setattr(cls, "test_list", [write(folder / "test_batch", "labels", [7] * N, 9)])
    md5 = hashlib.md5(meta.read_bytes()).hexdigest()
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5})
    return folder


def config(root: Path, name: str = "cifar10") -> DataConfig:
    return DataConfig(name=name, root=str(root), download=False)  # type: ignore[arg-type]


def test_files_are_read(cifar10):
    train, test, classes = load_cifar(config(cifar10.parent))
    assert train.images.shape == (2 * N, 3, 32, 32)
    assert train.labels.tolist() == [1] * N + [2] * N
    assert test.labels.tolist() == [7] * N
    assert classes == 10
    raw = np.random.default_rng(1).integers(0, 256, (N, 3072), dtype=np.uint8)
    np.testing.assert_array_equal(
        (train.images[0] * 255).round().byte().numpy(), raw[0].reshape(3, 32, 32)
    )


def test_a_damaged_file(cifar10):
    (cifar10 / "test_batch").write_bytes(b"cut short")
    with pytest.raises(UserError, match=r"data=cifar10: the files in .* missing or damaged"):
        load_cifar(config(cifar10.parent))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_files(tmp_path, name):
    with pytest.raises(UserError, match=f"data={name}: .*put cifar-10.*-python.tar.gz into"):
        load_cifar(config(tmp_path, name))
