"""ResNets for small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "none": nn.Identity,
}

WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., "Deep residual learning", CVPR 2016).

    Where the shape changes, the shortcut is a 1 x 1 convolution (option B there).

    Args:
        n_in, n_out: channels.
        stride: of the first convolution.
        activation: name in `ACTIVATIONS`.
        batch_norm: normalise behind each convolution.
        shortcut: add the input to the output.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        stride: int,
        activation: str,
        *,
        batch_norm: bool,
        shortcut: bool,
    ) -> None:
        super().__init__()
        self.conv1 = _conv(n_in, n_out, 3, stride, bias=not batch_norm)
        self.bn1 = _norm(n_out, batch_norm)
        self.conv2 = _conv(n_out, n_out, 3, 1, bias=not batch_norm)
        self.bn2 = _norm(n_out, batch_norm)
        self.activation = ACTIVATIONS[activation]()
        self.shortcut: nn.Module | None = None
        if shortcut and (stride != 1 or n_in != n_out):
            self.shortcut = nn.Sequential(
                _conv(n_in, n_out, 1, stride, bias=not batch_norm), _norm(n_out, batch_norm)
            )
        elif shortcut:
            self.shortcut = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``[b, n_in, h, w]`` to ``[b, n_out, h / stride, w / stride]``."""
        y = self.activation(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.activation(y if self.shortcut is None else y + self.shortcut(x))


class ResNet(nn.Module):
    """A ResNet with a 3 x 3 stem and no max-pool, for images of 32 x 32 or so.

    Args:
        depths: residual blocks in each of the four stages; (2, 2, 2, 2) is ResNet-18,
            (3, 4, 6, 3) ResNet-34.
        n_classes: number of classes.
        in_channels: channels of an image.
        activation, batch_norm, shortcut: see `BasicBlock`.

    Input ``[b, in_channels, h, w]``; output ``[b, n_classes]``, log-probabilities.
    """

    def __init__(
        self,
        depths: Sequence[int],
        n_classes: int,
        in_channels: int = 3,
        activation: str = "relu",
        *,
        batch_norm: bool = True,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _conv(in_channels, WIDTHS[0], 3, 1, bias=not batch_norm),
            _norm(WIDTHS[0], batch_norm),
            ACTIVATIONS[activation](),
        )
        n_in = WIDTHS[0]
        for stage, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True)):
            blocks = []
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(
                    BasicBlock(
                        n_in, width, stride, activation, batch_norm=batch_norm, shortcut=shortcut
                    )
                )
                n_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[-1], n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities ``[b, n_classes]`` of images ``[b, in_channels, h, w]``."""
        x = self.stem(images.to(memory_format=torch.channels_last))  # torch's faster layout
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        return torch.log_softmax(self.fc(self.pool(x).flatten(1)), dim=1)


def _conv(n_in: int, n_out: int, kernel: int, stride: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, bias=bias)


def _norm(width: int, wanted: bool) -> nn.Module:
    return nn.BatchNorm2d(width) if wanted else nn.Identity()
