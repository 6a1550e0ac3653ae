"""Validation and limited training sets are fixed choices that keep the classes' shares."""

from __future__ import annotations

import pytest
import torch

from runner.config import load_config
from runner.data import Split, load_data
from runner.data.splits import limit, split_off_validation, stratified, to_split
from runner.errors import UserError


def load(*overrides: str):
    return load_data(load_config(["data=mnist5k", *overrides]).data)


def keys(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def test_bytes_become_values_from_zero_to_one():
    split = to_split(torch.tensor([[[0, 51], [255, 102]]], dtype=torch.uint8), torch.tensor([3]))
    assert split.images.shape == (1, 1, 2, 2)
    assert split.images.flatten().tolist() == pytest.approx([0.0, 0.2, 1.0, 0.4])
    assert split.labels.dtype == torch.int64


def test_stratified_takes_the_share_of_each_class():
    labels = torch.tensor([0] * 10 + [1] * 20 + [2] * 4)
    rest, chosen = stratified(labels, 0.25)
    assert labels[chosen].bincount().tolist() == [2, 5, 1]
    assert torch.equal(torch.cat([rest, chosen]).sort().values, torch.arange(34))


def test_validation_images_are_not_trained_on_and_do_not_depend_on_the_limit():
    limited, whole = (
        load("data.val_fraction=0.1", f"data.train_limit={n}") for n in ("300", "null")
    )
    assert limited.val is not None
    assert whole.val is not None
    assert (len(limited.train), len(whole.train), len(limited.val)) == (300, 3600, 400)
    assert torch.equal(limited.val.images, whole.val.images)
    assert not keys(whole.val) & keys(whole.train)
    assert keys(limited.train) <= keys(whole.train)


def test_without_a_fraction_there_is_no_validation_set():
    assert load("data.train_limit=10").val is None


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_an_empty_split_is_refused(fraction):
    train = Split(torch.zeros(20, 1, 2, 2), torch.arange(20) % 2)
    with pytest.raises(UserError, match=r"data\.val_fraction"):
        split_off_validation(train, fraction)


def test_a_limit_above_the_set_is_refused():
    train = Split(torch.zeros(20, 1, 2, 2), torch.arange(20))
    with pytest.raises(UserError, match=r"data.train_limit=21: .* 20 images"):
        limit(train, 21)


def test_limit_is_the_same_choice_every_time():
    train = Split(torch.arange(50.0).view(50, 1, 1, 1), torch.arange(50))
    assert torch.equal(limit(train, 7).labels, limit(train, 7).labels)
    assert len(limit(train, 7)) == 7
