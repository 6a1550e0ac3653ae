"""Images in folders and tars."""

from __future__ import annotations

import tarfile
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runner.config.schema import DataConfig
from runner.data import load_data
from runner.errors import UserError


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two classes, three training images and one test image each, 6 x 5 pixels."""
    monkeypatch.setenv("WARMTILE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "images"
    generator = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 1)):
        for label in ("cat", "dog"):
            (root / part / label).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{i}.png")
    return root


def load(root, **options):
    return load_data(DataConfig(name="image_folder", root=str(root), batch_size=2, **options))


def test_a_folder(images):
    data = load(images)
    assert data.image_shape == (3, 6, 5)
    assert data.n_classes == 2
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(data.test) == 2
    first = np.asarray(Image.open(images / "train" / "cat" / "0.png"))
    assert torch.equal(data.train.images[0], torch.from_numpy(first.copy()).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz"])
def test_a_tar_gives_the_same(images, tmp_path, kind: Any):
    path = tmp_path / "images.tar"
    with tarfile.open(path, kind) as archive:
        archive.add(images, arcname="some/where")
    once, again, folder = load(path), load(path), load(images)
    for data in (once, again):
        assert torch.equal(data.train.images, folder.train.images)
        assert torch.equal(data.test.labels, folder.test.labels)
    kept = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(kept) == 1
    kept[0].write_bytes(b"damaged")
    assert torch.equal(load(path).train.images, folder.train.images)


def test_normalized_channels(images):
    data = load(images, normalize=True)
    torch.testing.assert_close(data.train.images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.train.images.std((0, 2, 3)), torch.ones(3), atol=1e-5, rtol=0)


def _no_test(root):
    (root / "test").rename(root / "tset")


def _damaged(root):
    (root / "train" / "dog" / "1.png").write_bytes(b"no image")


def _other_size(root):
    Image.new("RGB", (9, 9)).save(root / "train" / "dog" / "1.png")


def _new_class(root):
    (root / "test" / "dog").rename(root / "test" / "cow")


def _one_class(root):
    for part in ("train", "test"):
        (root / part / "dog").rename(root / part / "dog.old.txt")
        for path in (root / part / "dog.old.txt").iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_no_test, "there is no folder test"),
        (_damaged, r"train/dog/1.png: cannot identify"),
        (_other_size, "must have one size"),
        (_new_class, "train has no cow"),
        (_one_class, "one class only, cat"),
    ],
)
def test_what_is_wrong_is_named(images, change, message):
    change(images)
    with pytest.raises(UserError, match=message):
        load(images)


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "nothing")
    (tmp_path / "file").write_text("no tar")
    with pytest.raises(UserError, match="is no tar"):
        load(tmp_path / "file")
