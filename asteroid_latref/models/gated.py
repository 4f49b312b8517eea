"""Gated Sudo rm -rf: each input gets as many refinements as its gate finds worth their cost."""

from collections.abc import Sequence

import torch
from asteroid.models.base_models import _shape_reconstructed
from asteroid.utils.torch_utils import is_tracing, jitable_shape, pad_x_to_y
from typing_extensions import override

from ..masknn.gate import Gate
from ..masknn.gated_refinement import GatedMasker, UpTo
from ..masknn.refinement import LatentMasker
from .base import constructor_args
from .operating import OperatingPoint
from .sudormrf import IterSudoRmRf, SudoRmRf


class GatedSudoRmRf(SudoRmRf):
    """Sudo rm -rf with a gate before every application of a block: refine on, or stop.

    With ``n_iters=`` the gate is not asked and every input gets that many iterations. Without, a
    stopped input costs nothing more, whatever else is in its batch; in training all is computed.
    A traced, exported or compiled model computes everything too, with the same outputs.

    Args:
        n_src: target slots: the speech sources, plus one if the noise is a target.
        n_blocks: distinct blocks; they share one gate.
        n_sub_blocks: U-ConvBlocks per block.
        max_iters: how often each block is applied at most: one count, or one per block.
        exits: ``"last"`` or ``"all"``.
        bn_chan: channels of the latent.
        hid_chan: channels inside a U-ConvBlock.
        upsampling_depth: time resolutions inside a U-ConvBlock.
        mask_act: activation of the masks (a name of ``asteroid.masknn.activations``).
        n_filters: filters of the encoder.
        kernel_size: their length, in samples.
        stride: their hop, in samples.
        decoder: ``"joint"``: all masked sources to all sources (LIR); ``"shared"``: one
            filterbank for every source (Asteroid).
        sample_rate: in Hz.
        gate_kernel: frames of latent in one decision; 3200 are 4 s at 8 kHz and stride 10.
        gate_bias: added to the gate's logit of "refine"; see :attr:`gate_bias`.
        prelu_per_channel: see :class:`IterSudoRmRf`.
        checkpoint_iters: see :class:`IterSudoRmRf`.

    Raises:
        TypeError: unknown argument.
        ValueError: a size that makes no model.

    Shape:
        - Input: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
        - Output: ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

    Reference:
        LIR §2.3, Eq. 7–10.

    Examples:
        >>> model = GatedSudoRmRf(n_src=2, bn_chan=16, hid_chan=32, n_filters=32).eval()
        >>> wav = torch.randn(3, 8000)
        >>> est, n_steps = model.separate_with_steps(wav)
        >>> est.shape, n_steps.shape
        (torch.Size([3, 2, 8000]), torch.Size([3]))
        >>> model.gate_bias = float("inf")  # always refine
        >>> model.separate_with_steps(wav)[1]
        tensor([4., 4., 4.])
        >>> torch.equal(model(wav), model(wav, n_iters=4))
        True
    """

    iters_arg = "max_iters"
    masker: GatedMasker

    def __init__(
        self,
        n_src: int,
        n_blocks: int = 1,
        n_sub_blocks: int = 1,
        max_iters: int | Sequence[int] = 4,
        exits: str = "last",
        bn_chan: int = 128,
        hid_chan: int = 512,
        upsampling_depth: int = 5,
        mask_act: str = "relu",
        n_filters: int = 512,
        kernel_size: int = 21,
        stride: int = 10,
        decoder: str = "joint",
        sample_rate: float = 8000,
        gate_kernel: int = 3200,
        gate_bias: float = 0.0,
        prelu_per_channel: bool = False,
        checkpoint_iters: bool = False,
    ):
        if not isinstance(gate_kernel, int) or gate_kernel < 1:
            raise ValueError(f"gate_kernel={gate_kernel!r}: must be a whole number >= 1")
        super().__init__(constructor_args(locals()))

    @override
    def make_masker(self) -> LatentMasker:
        c = self.config
        gate = Gate(c["bn_chan"], c["gate_kernel"], c["gate_bias"])
        return GatedMasker(**self.masker_parts(), gate=gate)

    @property
    def gate_bias(self) -> float:
        """Trades quality for compute after training: added to the gate's logit of "refine".

        Above zero more steps are taken, below zero fewer; ``inf`` forces the gate open, ``-inf``
        shut. It is saved with the model.
        """
        return self.masker.gate.bias

    @gate_bias.setter
    def gate_bias(self, value: float) -> None:
        self.masker.gate.bias = self.config["gate_bias"] = float(value)

    def separate_with_steps(
        self, wav: torch.Tensor, n_blocks: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Separates ``wav`` as far as the gate sees fit.

        Args:
            wav: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
            n_blocks: blocks to run at most, one of ``exit_blocks``. Default: all.

        Returns:
            The estimates, as :meth:`forward` gives them, and the block applications per example,
            ``(batch,)``. In training these are n̂ of Eq. 12, with its gradient.
        """
        shape = jitable_shape(wav) if is_tracing() else wav.shape
        wav = self._as_batch(wav)
        n_blocks, limits = self.operating_point(n_blocks)
        if self._one_by_one(wav):
            parts = [self._gated(w, n_blocks, limits) for w in wav.split(1)]
            decoded, n_steps = (torch.cat(examples) for examples in zip(*parts, strict=True))
        else:
            decoded, n_steps = self._gated(wav, n_blocks, limits)
        return _shape_reconstructed(pad_x_to_y(decoded, wav), shape), n_steps

    def _gated(
        self, wav: torch.Tensor, n_blocks: int, limits: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tf_rep = self.forward_encoder(wav)
        for behind in self.masker.gated_latents(tf_rep, limits):
            _, latent, n_steps = behind
        return self._exit(n_blocks, tf_rep, latent), n_steps

    def ungated(self, n_iters: int | Sequence[int] | None = None) -> IterSudoRmRf:
        """The same network without its gate, stand-alone, at fixed iterations.

        Args:
            n_iters: one count, or one per block. Default: ``max_iters``.
        """
        args = {k: v for k, v in self.config.items() if not k.startswith("gate_")}
        limits = args.pop("max_iters")
        plain = IterSudoRmRf(**args, n_iters=limits if n_iters is None else n_iters)
        mine = self.state_dict()
        plain.load_state_dict({name: mine[name].clone() for name in plain.state_dict()})
        return plain.train(self.training)

    @override
    def operating_point(
        self, n_blocks: int | None = None, n_iters: int | Sequence[int] | None = None
    ) -> OperatingPoint:
        """As for every model; without ``n_iters`` the counts are limits and the gate decides."""
        n_blocks, counts = super().operating_point(n_blocks, n_iters)
        return n_blocks, UpTo(counts) if n_iters is None else counts
