"""Networks as typed configuration."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from runner.config.keys import key

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NetworkConfig:
    """What every network has: blocks, each of them digital or analog.

    A network of your own derives from this, names its `blocks` and makes itself in `build`.

    Args:
        blocks: names of the network's direct submodules that have weights, in their order.
        image_shape: channels, height and width that the network takes; None = any.
    """

    blocks: ClassVar[tuple[str, ...]] = ()
    image_shape: ClassVar[tuple[int, int, int] | None] = None

    name: str = key("", "Network to train.")
    block_types: tuple[str, ...] = key(
        (),
        "One entry a block: A = on analog tiles, D = digital (plain torch).",
        choices=("A", "D"),
    )
    analog_layers: tuple[str, ...] | None = key(
        None,
        "Patterns of the layers that are analog, e.g. [layer4.*,fc], instead of block_types; "
        "* and ? as in file names. A run prints its layers. null = by block_types.",
    )
    init_from: str | None = key(
        None,
        "Start from digital weights: a safetensors file as runner.export writes it, or the folder "
        "of a run. On tiles they are programmed onto the most significant device. null = freshly "
        "drawn.",
    )

    def layer_names(self) -> tuple[str, ...]:
        """Module names of the layers with weights; the part before the first dot is the block."""
        return self.blocks

    def analog(self, names: Sequence[str]) -> list[str]:
        """Those of the layers `names` that are analog by `analog_layers` or `block_types`."""
        if self.analog_layers is not None:
            patterns = self.analog_layers
            return [n for n in names if any(fnmatch.fnmatchcase(n, p) for p in patterns)]
        kinds = dict(zip(self.blocks, self.block_types, strict=True))
        return [name for name in names if kinds[name.partition(".")[0]] == "A"]

    def vectors_per_image(self, image_size: int) -> tuple[int, ...]:
        """Most vectors (im2col patches) that one image sends through a layer of each block."""
        return (image_size * image_size,) * len(self.blocks)

    def build(self, n_classes: int, image_shape: Sequence[int]) -> nn.Module:
        """The digital network, giving log-probabilities ``[b, n_classes]``.

        Args:
            n_classes: classes of the data.
            image_shape: channels, height, width of the data.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LeNet5Config(NetworkConfig):
    """LeNet-5 for 28 x 28 grey images."""

    blocks: ClassVar[tuple[str, ...]] = ("conv1", "conv2", "fc1", "fc2")
    image_shape: ClassVar[tuple[int, int, int] | None] = (1, 28, 28)

    name: Literal["lenet5"] = key("lenet5", "Network to train.")  # pyright: ignore
    block_types: tuple[str, ...] = key(
        ("A", "A", "A", "A"),
        "One entry a block: A = on analog tiles, D = digital (plain torch). Blocks of LeNet-5: "
        "conv1, conv2, fc1, fc2. With a digital algorithm every block is digital anyway.",
        choices=("A", "D"),
    )

    def vectors_per_image(self, image_size: int) -> tuple[int, ...]:
        """Most vectors (im2col patches) that one image sends through a layer of each block."""
        del image_size
        return (24 * 24, 8 * 8, 1, 1)


@dataclass(frozen=True)
class ResNetConfig(NetworkConfig):
    """ResNets in the form for small images: a 3 x 3 stem and no max-pool (He et al. 2016, 4.2)."""

    blocks: ClassVar[tuple[str, ...]] = ("stem", "layer1", "layer2", "layer3", "layer4", "fc")
    DEPTHS: ClassVar[dict[str, tuple[int, ...]]] = {
        "resnet18": (2, 2, 2, 2),
        "resnet34": (3, 4, 6, 3),
    }

    name: Literal["resnet18", "resnet34"] = key(  # pyright: ignore
        "resnet18", "Network to train."
    )
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

    @property
    def depths(self) -> tuple[int, ...]:
        """Residual blocks in each of the four stages."""
        return self.block_numbers or self.DEPTHS[self.name]

    def layer_names(self) -> tuple[str, ...]:
        """Module names of the layers with weights; the part before the first dot is the block."""
        names = ["stem.0"]
        for stage, depth in enumerate(self.depths, 1):
            for block in range(depth):
                names += [f"layer{stage}.{block}.{conv}" for conv in ("conv1", "conv2")]
                if self.shortcut and stage > 1 and block == 0:
                    names.append(f"layer{stage}.{block}.shortcut.0")
        return (*names, "fc")

    def vectors_per_image(self, image_size: int) -> tuple[int, ...]:
        """Most vectors (im2col patches) that one image sends through a layer of each block."""
        sizes = [image_size, image_size, *(-(-image_size // 2**i) for i in (1, 2, 3))]
        return (*(size * size for size in sizes), 1)


ModelConfig = LeNet5Config | ResNetConfig
