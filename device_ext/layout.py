"""How the engine finds the vectors of an update inside a tensor, without copying them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

Pair = tuple[int, int]


class VectorLayout(NamedTuple):
    """Strides in elements; see ``VectorBatch`` in ``src/engine/engine.h``."""

    n_inner: int
    n_middle: int
    outer: int
    middle: int
    inner: int
    line: int
    offsets: int = 0
    """Address of int64 line offsets, or 0."""


class Vectors(NamedTuple):
    """The vectors of one side of an update."""

    values: Tensor
    """Holds the memory that ``layout`` describes."""
    n: int
    """Number of vectors."""
    n_lines: int
    """Length of each."""
    layout: VectorLayout


class PatchGeometry(NamedTuple):
    """Which patches of an image a convolution's tile sees, as in ``torch.nn.Conv2d``."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


def batch_vectors(values: Tensor) -> Vectors:
    """Describe a batch [..., lines] of float32 vectors.

    Raises:
        TypeError: for another type.
    """
    if values.dtype != torch.float32:
        raise TypeError(f"tile inputs must be float32, are {values.dtype}")
    if values.dim() == 1:
        values = values.unsqueeze(0)
    if values.dim() == 2:
        n, lines = values.shape
        return Vectors(values, n, lines, VectorLayout(n, 1, 0, 0, *values.stride()))
    if values.dim() > 3:
        values = values.flatten(0, -3)
    outer, inner, lines = values.shape
    strides = values.stride()
    layout = VectorLayout(inner, 1, strides[0], 0, strides[1], strides[2])
    return Vectors(values, outer * inner, lines, layout)


def pixel_vectors(image: Tensor) -> Vectors:
    """Describe an image batch [n, channels, height, width]: one vector of channels a pixel."""
    n, channels, height, width = image.shape
    batch, channel, row, column = image.stride()
    if row == width * column:  # rows follow each other: one level of strides less to walk
        layout = VectorLayout(height * width, 1, batch, 0, column, channel)
    else:
        layout = VectorLayout(width, height, batch, row, column, channel)
    return Vectors(image, n * height * width, channels, layout)


def patch_vectors(image: Tensor, geometry: PatchGeometry) -> Vectors:
    """Describe the patches of an image batch [n, channels, height, width], in unfold's order."""
    (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w), (dil_h, dil_w) = geometry
    if pad_h or pad_w:
        image = pad(image, (pad_w, pad_w, pad_h, pad_h))
    n, channels, height, width = image.shape
    batch, channel, row, column = image.stride()
    out_h = (height - dil_h * (kernel_h - 1) - 1) // stride_h + 1
    out_w = (width - dil_w * (kernel_w - 1) - 1) // stride_w + 1
    offsets = _patch_offsets(channels, geometry, (channel, row, column))
    layout = VectorLayout(
        out_w, out_h, batch, stride_h * row, stride_w * column, 0, offsets.data_ptr()
    )
    return Vectors(image, n * out_h * out_w, offsets.numel(), layout)


@lru_cache(maxsize=256)
def _patch_offsets(channels: int, geometry: PatchGeometry, strides: tuple[int, int, int]) -> Tensor:
    (kernel_h, kernel_w), _, _, (dil_h, dil_w) = geometry
    channel, row, column = strides
    c = torch.arange(channels).view(-1, 1, 1) * channel
    h = torch.arange(kernel_h).view(1, -1, 1) * (dil_h * row)
    w = torch.arange(kernel_w).view(1, 1, -1) * (dil_w * column)
    return (c + h + w).flatten()


def unfolded_patches(image: Tensor, geometry: PatchGeometry) -> Tensor:
    """Return the patches as a tensor [n, patches, lines], as aihwkit's own update takes them."""
    kernel, stride, padding, dilation = geometry
    return unfold(image, kernel, dilation, padding, stride).transpose(-1, -2)
