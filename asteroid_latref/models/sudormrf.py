"""Iterated Sudo rm -rf: U-ConvBlocks applied again and again to one latent."""

import math
from collections.abc import Sequence
from typing import Any

from torch import nn
from typing_extensions import override

from ..masknn.blocks import NormProjection, UConvBlock
from ..masknn.exits import MaskNet, OverlapAddDecoder
from .base import LatentRefinementModel, constructor_args


class SudoRmRf(LatentRefinementModel):
    """The parts of every Sudo rm -rf; a subclass says which constructor arguments there are.

    Args:
        config: see :class:`LatentRefinementModel`. Read here too: ``n_sub_blocks``, ``bn_chan``,
            ``hid_chan``, ``upsampling_depth``, ``mask_act``, ``decoder``, ``prelu_per_channel``.
    """

    def __init__(self, config: dict[str, Any]):
        if config["decoder"] not in ("joint", "shared"):
            raise ValueError(f'decoder={config["decoder"]!r}: must be "joint" or "shared"')
        half = config["kernel_size"] // 2
        self.encoder_padding = half
        # As the authors pad: it enters the statistics of every gLN, so it is part of the model.
        self.time_multiple = math.lcm(max(half, 1), 2 ** config["upsampling_depth"])
        super().__init__(config)

    @override
    def make_bottleneck(self) -> nn.Module:
        return NormProjection(self.config["n_filters"], self.config["bn_chan"])

    @override
    def make_block(self) -> nn.Module:
        c = self.config
        names = ("bn_chan", "hid_chan", "upsampling_depth", "prelu_per_channel")
        sizes = {name: c[name] for name in names}
        return nn.Sequential(*(UConvBlock(**sizes) for _ in range(c["n_sub_blocks"])))

    @override
    def make_mask_net(self) -> nn.Module:
        c = self.config
        return MaskNet(c["bn_chan"], c["n_src"], c["n_filters"], c["mask_act"])

    @override
    def make_decoder(self) -> nn.Module:
        c = self.config
        return OverlapAddDecoder(
            n_src=c["n_src"],
            n_filters=c["n_filters"],
            kernel_size=c["kernel_size"],
            stride=c["stride"],
            padding=self.encoder_padding,
            joint=c["decoder"] == "joint",
        )


class IterSudoRmRf(SudoRmRf):
    """Sudo rm -rf whose blocks are iterated, with an exit behind the last block or behind each.

    Args:
        n_src: target slots: the speech sources, plus one if the noise is a target.
        n_blocks: distinct blocks.
        n_sub_blocks: U-ConvBlocks per block.
        n_iters: how often each block is applied: one count, or one per block.
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
        prelu_per_channel: the last PReLU of a U-ConvBlock has a slope per channel (Asteroid)
            instead of one slope (LIR).
        checkpoint_iters: recompute iterations in the backward pass instead of storing them:
            memory that does not grow with ``n_iters``, for more time.

    Raises:
        TypeError: unknown argument.
        ValueError: a size that makes no model.

    Shape:
        - Input: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
        - Output: ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

    Reference:
        LIR §2.1, Eq. 1–6.

    Examples:
        >>> import torch
        >>> model = IterSudoRmRf(n_src=3, n_blocks=2, n_sub_blocks=1, n_iters=2, exits="all",
        ...                      bn_chan=16, hid_chan=32, n_filters=32)
        >>> model(torch.randn(4, 8000)).shape
        torch.Size([4, 3, 8000])
        >>> model(torch.randn(8000), n_blocks=1, n_iters=1).shape
        torch.Size([3, 8000])
    """

    def __init__(
        self,
        n_src: int,
        n_blocks: int = 1,
        n_sub_blocks: int = 4,
        n_iters: int | Sequence[int] = 1,
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
        prelu_per_channel: bool = False,
        checkpoint_iters: bool = False,
    ):
        super().__init__(constructor_args(locals()))
