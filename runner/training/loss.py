"""The loss that training minimises."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from runner.config.schema import OptimConfig

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_function(cfg: OptimConfig, n_classes: int) -> Loss:
    """The mean loss of log-probabilities ``[b, n_classes]`` and labels ``[b]``.

    - cross_entropy: ``-sum_k q_k log p_k`` with ``q = (1 - s) onehot + s / n_classes`` for a label
      smoothing s (Szegedy et al. 2016)
    - mse: mean over classes of ``(p_k - onehot_k)**2``
    """
    if cfg.loss == "mse":
        return lambda output, labels: F.mse_loss(
            output.exp(), F.one_hot(labels, n_classes).to(output.dtype)
        )
    if cfg.label_smoothing:
        return lambda output, labels: F.cross_entropy(
            output, labels, label_smoothing=cfg.label_smoothing
        )
    return F.nll_loss
