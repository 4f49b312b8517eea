"""Refinement with a gate before each application of a block."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from .gate import Gate
from .refinement import LatentMasker


class UpTo(tuple[int, ...]):
    """Iteration counts that are limits: the gate decides how many of them are run."""


class GatedMasker(LatentMasker):
    """Mask network whose blocks are applied to an example until its gate says stop.

    Before each application, of whichever block, the one gate looks at the latent:
    ``y ← g·F(y) + (1 − g)·y``. Where ``g = 0`` the latent stays, so in eval the gate would only
    repeat itself: a stopped example leaves the batch, and neither blocks nor gate are computed for
    it again. In training, where decisions are drawn, stopping is made final too: ``g`` is the
    product of the decisions so far. Else a stop would cost little, as a later draw makes up for it,
    and the gate would learn to stop where in use nothing comes after. Everything is computed in
    training, for the gradients.

    While a model is traced, exported or compiled, the formula is computed as it stands: the same
    outputs and steps, but nothing is skipped.

    Counts that are not :class:`UpTo` are run as they are, without the gate.

    Args:
        bottleneck: see :class:`LatentMasker`.
        blocks: see there.
        mask_nets: see there.
        gate: shared by all blocks.
        checkpoint_iters: see there.

    Reference:
        LIR §2.3, Eq. 7–10.
    """

    def __init__(
        self,
        bottleneck: nn.Module,
        blocks: Sequence[nn.Module],
        mask_nets: Mapping[int, nn.Module],
        gate: Gate,
        checkpoint_iters: bool = False,
    ):
        super().__init__(bottleneck, blocks, mask_nets, checkpoint_iters)
        self.gate = gate

    def latents(
        self, tf_rep: torch.Tensor, n_iters: Sequence[int]
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """See :class:`LatentMasker`; gated where ``n_iters`` is :class:`UpTo`."""
        if not isinstance(n_iters, UpTo):
            yield from super().latents(tf_rep, n_iters)
            return
        for number, latent, _ in self.gated_latents(tf_rep, n_iters):
            yield number, latent

    def gated_latents(
        self, tf_rep: torch.Tensor, limits: Sequence[int]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yields ``(block number, latent behind it, steps so far (batch,))`` for each block.

        In training the steps carry the gradient of n̂, the sum of the decisions (Eq. 12).
        """
        graph_wanted = torch.jit.is_tracing() or torch.compiler.is_compiling()
        run = self._all if self.training or graph_wanted else self._skipping
        return run(self.bottleneck(tf_rep), limits)

    def _all(
        self, latent: torch.Tensor, limits: Sequence[int]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        steps = latent.new_zeros(latent.shape[0])
        going = latent.new_ones(latent.shape[0])
        for number, limit in enumerate(limits, start=1):
            for _ in range(limit):
                going = going * self.gate(latent)
                steps = steps + going
                g = going[:, None, None]  # (batch,) -> (batch, 1, 1)
                refined = self.refine(self.blocks[number - 1], latent, 1)
                latent = g * refined + (1 - g) * latent
            yield number, latent, steps

    def _skipping(
        self, latent: torch.Tensor, limits: Sequence[int]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        steps = latent.new_zeros(latent.shape[0])
        rows = torch.arange(latent.shape[0], device=latent.device)  # examples not stopped yet
        running = latent  # their latents
        for number, limit in enumerate(limits, start=1):
            for _ in range(limit if len(rows) else 0):
                going = self.gate(running).bool()
                if not going.all():
                    latent = latent.index_copy(0, rows, running)
                    rows, running = rows[going], running[going]
                    if len(rows) == 0:
                        break
                running = self.refine(self.blocks[number - 1], running, 1)
                steps = steps.index_add(0, rows, torch.ones_like(rows, dtype=steps.dtype))
            if len(rows) == len(latent):
                latent = running
            elif len(rows):
                latent = latent.index_copy(0, rows, running)
            yield number, latent, steps
