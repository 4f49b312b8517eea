"""Systems for depth that grows: one new block at a time, then all exits together."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from ..errors import LatrefError
from .system import System


class ProgressiveSystem(System):
    """Trains the last block and its exit; everything before them is frozen.

    What is frozen runs in eval mode and without a graph, so it costs no memory for backward, and it
    is not in the optimizer. A model of one block is trained whole: that is the first step.

    Args:
        model: freeze it with ``model.freeze_before_last()`` before the optimizer is made.
        optimizer: over the parameters that require a gradient.
        *args: see :class:`System`.
        **kwargs: see :class:`System`.

    Raises:
        LatrefError: the optimizer holds parameters of frozen parts.

    Reference:
        LIR §2.2; BLOOM-Net §2.2.
    """

    def __init__(
        self, model: Any, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any
    ) -> None:
        if model.n_blocks > 1:
            model.freeze_before_last()
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if any(id(p) in held for p in model.parameters() if not p.requires_grad):
            raise LatrefError(
                "the optimizer holds frozen parameters: call model.freeze_before_last() and give"
                " the optimizer the parameters that require a gradient"
            )
        super().__init__(model, optimizer, *args, **kwargs)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for what is trained, eval mode for what is frozen."""
        super().train(mode)
        for module in self.model.modules():
            parameters = list(module.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                module.eval()
        return self


class JointExitSystem(System):
    """Trains everything on the unweighted sum of the losses of all exits.

    Reference:
        BLOOM-Net §2.3, fine-tuning.
    """

    def estimates(self, mixture: Tensor) -> list[Tensor]:
        """Waveforms ``(batch, n_src, time)`` of every exit."""
        return self.model.forward_exits(mixture)

    def loss(self, est: Any, targets: Tensor) -> Tensor:
        """Sum over the exits."""
        return torch.stack([self.loss_func(one, targets) for one in est]).sum()
