"""Networks as typed configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from runner.config.keys import key

_INIT_FROM = (
    "Start from the digital weights in this safetensors file, as runner.export writes it; on tiles "
    "they are programmed onto the most significant device. null = freshly drawn."
)


@dataclass(frozen=True)
class LeNet5Config:
    """LeNet-5 for 28 x 28 grey images."""

    blocks: ClassVar[tuple[str, ...]] = ("conv1", "conv2", "fc1", "fc2")
    image_shape: ClassVar[tuple[int, int, int] | None] = (1, 28, 28)

    name: Literal["lenet5"] = key("lenet5", "Network to train.")
    block_types: tuple[str, ...] = key(
        ("A", "A", "A", "A"),
        "One entry a block: A = on analog tiles, D = digital (plain torch). Blocks of LeNet-5: "
        "conv1, conv2, fc1, fc2. With a digital algorithm every block is digital anyway.",
        choices=("A", "D"),
    )
    init_from: str | None = key(None, _INIT_FROM)

    def vectors_per_image(self, image_size: int) -> tuple[int, ...]:
        """Most vectors (im2col patches) that one image sends through a layer of each block."""
        del image_size
        return (24 * 24, 8 * 8, 1, 1)


@dataclass(frozen=True)
class ResNetConfig:
    """ResNets in the form for small images: a 3 x 3 stem and no max-pool (He et al. 2016, 4.2)."""

    blocks: ClassVar[tuple[str, ...]] = ("stem", "layer1", "layer2", "layer3", "layer4", "fc")
    image_shape: ClassVar[tuple[int, int, int] | None] = None
    DEPTHS: ClassVar[dict[str, tuple[int, ...]]] = {
        "resnet18": (2, 2, 2, 2),
        "resnet34": (3, 4, 6, 3),
    }

    name: Literal["resnet18", "resnet34"] = key("resnet18", "Network to train.")
    block_types: tuple[str, ...] = key(
        ("D", "D", "D", "A", "A", "A"),
        "One entry a block: A = on analog tiles, D = digital (plain torch). Blocks of a ResNet: "
        "stem, layer1, layer2, layer3, layer4, fc. With a digital algorithm every block is digital "
        "anyway.",
        choices=("A", "D"),
    )
    block_numbers: tuple[int, ...] | None = key(
        None, "Residual blocks in each of the four stages; null = those of the name.", ge=1, le=64
    )
    activation: Literal["relu", "sigmoid", "tanh", "none"] = key("relu", "Activation function.")
    batch_norm: bool = key(True, "Batch normalisation behind each convolution.")
    shortcut: bool = key(True, "Add each block's input to its output.")
    init_from: str | None = key(None, _INIT_FROM)

    @property
    def depths(self) -> tuple[int, ...]:
        """Residual blocks in each of the four stages."""
        return self.block_numbers or self.DEPTHS[self.name]

    def vectors_per_image(self, image_size: int) -> tuple[int, ...]:
        """Most vectors (im2col patches) that one image sends through a layer of each block."""
        sizes = [image_size, image_size, *(-(-image_size // 2**i) for i in (1, 2, 3))]
        return (*(size * size for size in sizes), 1)


ModelConfig = LeNet5Config | ResNetConfig
