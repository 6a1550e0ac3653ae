"""LeNet-5 in the form of the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two convolutions and two linear layers with tanh, about 80,000 weights.

    conv 1→16 k5, tanh, max-pool 2, conv 16→32 k5, tanh, max-pool 2, tanh, fc 512→128, tanh,
    fc 128→classes, log-softmax. The shape is LeCun et al., "Gradient-based learning applied to
    document recognition" (1998), as Gokmen et al. lay it on crossbars.

    Args:
        n_classes: number of classes.

    Input ``[b, 1, 28, 28]``; output ``[b, n_classes]``, log-probabilities.
    """

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=5)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(512, 128)
        self.fc2 = nn.Linear(128, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities ``[b, n_classes]`` of images ``[b, 1, 28, 28]``."""
        # Channels last is torch's faster layout. A max-pool and tanh, which grows with its
        # argument, may change places: a quarter of the tanh remain.
        x = images.to(memory_format=torch.channels_last)
        x = torch.tanh(self.pool(self.conv1(x)))
        x = torch.tanh(torch.tanh(self.pool(self.conv2(x))))
        x = torch.tanh(self.fc1(x.flatten(1)))
        return torch.log_softmax(self.fc2(x), dim=1)
