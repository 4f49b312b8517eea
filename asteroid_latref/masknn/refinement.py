"""The chain of refinements: bottleneck, blocks applied as often as asked, exits' mask nets."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class LatentMasker(nn.Module):
    """Mask network whose latent is refined block by block, and can be read behind any exit.

    Block ``b`` is applied ``n_iters[b]`` times to its own output: ``y ← block_b(y)``.

    Args:
        bottleneck: encoder features to the first latent.
        blocks: the distinct blocks, each from latent to latent.
        mask_nets: mask nets by block number (1-based): the exits.
        checkpoint_iters: store nothing of the iterations but the latent before the first, and
            run them twice more in the backward pass: for 16 iterations, memory of one and, as
            backward takes the time of two passes, 5/3 of the time.

    Shape:
        - tf_rep: ``(batch, n_filters, frames)``
        - Output: masks ``(batch, n_src, n_filters, frames)``

    Reference:
        LIR §2.1, Eq. 1–6.
    """

    def __init__(
        self,
        bottleneck: nn.Module,
        blocks: Sequence[nn.Module],
        mask_nets: Mapping[int, nn.Module],
        checkpoint_iters: bool = False,
    ):
        super().__init__()
        self.bottleneck = bottleneck
        self.blocks = nn.ModuleList(blocks)
        self.mask_nets = nn.ModuleDict({str(k): net for k, net in mask_nets.items()})
        self.checkpoint_iters = checkpoint_iters

    def refine(self, block: nn.Module, latent: torch.Tensor, n_iters: int) -> torch.Tensor:
        """Applies ``block`` ``n_iters`` times. Shape: ``(batch, bn_chan, frames)``, in and out."""
        if not (self.checkpoint_iters and torch.is_grad_enabled()):
            return _iterate(block, latent, n_iters)
        # Two levels. The outer one keeps the latent before the first iteration, whatever their
        # number. When the backward pass asks, it runs them once more and the inner ones keep the
        # latent before each; those are a tenth of what one sub-block saves, and short-lived.
        return _recomputed(lambda y: _iterate(lambda z: _recomputed(block, z), y, n_iters), latent)

    def latents(
        self, tf_rep: torch.Tensor, n_iters: Sequence[int]
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yields ``(block number, latent behind it)`` for the first ``len(n_iters)`` blocks."""
        latent = self.bottleneck(tf_rep)
        for number, n in enumerate(n_iters, start=1):
            latent = self.refine(self.blocks[number - 1], latent, n)
            yield number, latent

    def masks(self, number: int, latent: torch.Tensor, n_frames: int) -> torch.Tensor:
        """Masks of the exit behind block ``number``: ``(batch, n_src, n_filters, frames)``."""
        return self.mask_nets[str(number)](latent, n_frames)

    def forward(self, tf_rep: torch.Tensor, n_iters: Sequence[int]) -> torch.Tensor:
        """Masks behind block ``len(n_iters)``; later blocks are not touched."""
        for last in self.latents(tf_rep, n_iters):
            number, latent = last
        return self.masks(number, latent, tf_rep.shape[-1])


Step = Callable[[torch.Tensor], torch.Tensor]


def _iterate(step: Step, latent: torch.Tensor, n_iters: int) -> torch.Tensor:
    for _ in range(n_iters):
        latent = step(latent)
    return latent


def _recomputed(step: Step, latent: torch.Tensor) -> torch.Tensor:
    recomputed: torch.Tensor = checkpoint(step, latent, use_reentrant=False)
    return recomputed
