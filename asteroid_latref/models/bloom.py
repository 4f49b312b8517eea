"""BLOOM-Net: separators grown block by block on a residual path, with an exit behind each block."""

from collections.abc import Sequence

from asteroid.masknn.recurrent import DPRNNBlock
from torch import nn
from typing_extensions import override

from ..masknn.dualpath import DualPathBottleneck, DualPathMaskNet
from ..masknn.exits import MaskNet, OverlapAddDecoder
from ..masknn.norms import GlobLN
from ..masknn.tcn import TCNBlock
from ..masknn.transformer import DualPathTransformerBlock
from .base import LatentRefinementModel, constructor_args


class BloomNet(LatentRefinementModel):
    """What the three have in common: one free synthesis filterbank per exit, shared by the slots.

    Reference:
        BLOOM-Net §2.
    """

    @override
    def make_decoder(self) -> nn.Module:
        names = ("n_src", "n_filters", "kernel_size", "stride")
        return OverlapAddDecoder(**{name: self.config[name] for name in names}, joint=False)


class BloomDualPath(BloomNet):
    """A :class:`BloomNet` whose latent is chunked: ``(batch, bn_chan, chunk_size, n_chunks)``."""

    def hop_size(self) -> int:
        """Frames from one chunk to the next: ``hop_size``, or else half a chunk."""
        return self.config["hop_size"] or max(self.config["chunk_size"] // 2, 1)

    @override
    def make_bottleneck(self) -> nn.Module:
        c = self.config
        sizes = (c["n_filters"], c["bn_chan"], c["chunk_size"], self.hop_size())
        return DualPathBottleneck(GlobLN(c["n_filters"]), *sizes)

    @override
    def make_mask_net(self) -> nn.Module:
        c = self.config
        return DualPathMaskNet(
            c["bn_chan"], c["n_src"], c["n_filters"], self.hop_size(), c["mask_act"]
        )


class BloomConvTasNet(BloomNet):
    """Conv-TasNet grown block by block.

    The exit behind block ``L`` computes what Asteroid's ``ConvTasNet(n_blocks=n_sub_blocks,
    n_repeats=L, skip_chan=None)`` computes with the same weights.

    Args:
        n_src: target slots; one, the speech, in BLOOM-Net.
        n_blocks: blocks on the residual path.
        n_sub_blocks: convolutional blocks per block, of dilation 1, 2, 4…
        n_iters: how often each block is applied: one count, or one per block.
        exits: ``"all"`` or ``"last"``.
        bn_chan: channels of the latent.
        hid_chan: channels inside a block.
        conv_kernel_size: length of the depthwise convolutions, in frames.
        mask_act: activation of the masks.
        n_filters: filters of the encoder.
        kernel_size: their length, in samples.
        stride: their hop, in samples.
        sample_rate: in Hz.

    Raises:
        TypeError: unknown argument.
        ValueError: a size that makes no model.

    Shape:
        - Input: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
        - Output: ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

    Reference:
        BLOOM-Net §3.1.

    Examples:
        >>> import torch
        >>> model = BloomConvTasNet(n_blocks=3, bn_chan=8, hid_chan=16, n_filters=16)
        >>> model(torch.randn(4, 800), n_blocks=2).shape
        torch.Size([4, 1, 800])
        >>> len(model.forward_exits(torch.randn(800)))
        3
    """

    def __init__(
        self,
        n_src: int = 1,
        n_blocks: int = 6,
        n_sub_blocks: int = 1,
        n_iters: int | Sequence[int] = 1,
        exits: str = "all",
        bn_chan: int = 128,
        hid_chan: int = 512,
        conv_kernel_size: int = 3,
        mask_act: str = "sigmoid",
        n_filters: int = 512,
        kernel_size: int = 16,
        stride: int = 8,
        sample_rate: float = 8000,
    ):
        super().__init__(constructor_args(locals()))

    @override
    def make_bottleneck(self) -> nn.Module:
        n_filters, bn_chan = self.config["n_filters"], self.config["bn_chan"]
        return nn.Sequential(GlobLN(n_filters), nn.Conv1d(n_filters, bn_chan, 1))

    @override
    def make_block(self) -> nn.Module:
        c = self.config
        sizes = (c["bn_chan"], c["hid_chan"], c["conv_kernel_size"])
        return nn.Sequential(*(TCNBlock(*sizes, dilation=2**i) for i in range(c["n_sub_blocks"])))

    @override
    def make_mask_net(self) -> nn.Module:
        c = self.config
        return MaskNet(c["bn_chan"], c["n_src"], c["n_filters"], c["mask_act"])


class BloomDPRNN(BloomDualPath):
    """Dual-path RNN grown block by block.

    The exit behind block ``L`` computes what Asteroid's ``DPRNNTasNet(n_repeats=L)`` computes with
    the same weights (``n_sub_blocks=1``). The residual path is inside the dual-path blocks.

    Args:
        n_src: target slots.
        n_blocks: blocks on the residual path.
        n_sub_blocks: dual-path blocks per block.
        n_iters: how often each block is applied: one count, or one per block.
        exits: ``"all"`` or ``"last"``.
        bn_chan: channels of the latent.
        hid_size: units of an LSTM, in either direction.
        chunk_size: in frames.
        hop_size: frames from one chunk to the next. Default: half a chunk.
        bidirectional: across chunks; within a chunk the LSTM always is.
        mask_act: activation of the masks.
        n_filters: filters of the encoder.
        kernel_size: their length, in samples.
        stride: their hop, in samples.
        sample_rate: in Hz.

    Raises:
        TypeError: unknown argument.
        ValueError: a size that makes no model.

    Shape:
        - Input: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
        - Output: ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

    Reference:
        BLOOM-Net §3.1; Luo et al., "Dual-path RNN", ICASSP 2020.

    Examples:
        >>> import torch
        >>> model = BloomDPRNN(n_blocks=2, bn_chan=8, hid_size=4, chunk_size=10, n_filters=16)
        >>> model(torch.randn(4, 800)).shape
        torch.Size([4, 1, 800])
    """

    def __init__(
        self,
        n_src: int = 1,
        n_blocks: int = 6,
        n_sub_blocks: int = 1,
        n_iters: int | Sequence[int] = 1,
        exits: str = "all",
        bn_chan: int = 128,
        hid_size: int = 128,
        chunk_size: int = 100,
        hop_size: int | None = None,
        bidirectional: bool = True,
        mask_act: str = "sigmoid",
        n_filters: int = 64,
        kernel_size: int = 16,
        stride: int = 8,
        sample_rate: float = 8000,
    ):
        super().__init__(constructor_args(locals()))

    @override
    def make_block(self) -> nn.Module:
        c = self.config
        sizes = (c["bn_chan"], c["hid_size"], GlobLN, c["bidirectional"])
        return nn.Sequential(*(DPRNNBlock(*sizes) for _ in range(c["n_sub_blocks"])))


class BloomSepformer(BloomDualPath):
    """Dual-path transformer (SepFormer) grown block by block.

    With ``n_src=2`` and ``exits="last"`` the defaults are the published SepFormer: N = 2, 8 layers
    within and 8 across chunks, 25.68 million parameters.

    Args:
        n_src: target slots.
        n_blocks: dual-path blocks, N.
        n_layers: transformer layers within chunks, and as many across them, K.
        n_iters: how often each block is applied: one count, or one per block.
        exits: ``"all"`` or ``"last"``.
        bn_chan: channels of the latent; even.
        n_heads: attention heads; must divide ``bn_chan``.
        ff_chan: channels of the feed-forward parts.
        chunk_size: in frames.
        hop_size: frames from one chunk to the next. Default: half a chunk.
        mask_act: activation of the masks.
        n_filters: filters of the encoder, which a ReLU follows here.
        kernel_size: their length, in samples.
        stride: their hop, in samples.
        sample_rate: in Hz.

    Raises:
        TypeError: unknown argument.
        ValueError: a size that makes no model.

    Shape:
        - Input: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
        - Output: ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

    Reference:
        BLOOM-Net §3.1; Subakan et al., "Attention is all you need in speech separation",
        ICASSP 2021.

    Examples:
        >>> import torch
        >>> model = BloomSepformer(n_layers=1, bn_chan=8, n_heads=2, ff_chan=16, chunk_size=10,
        ...                        n_filters=16)
        >>> model(torch.randn(4, 800), n_blocks=1).shape
        torch.Size([4, 1, 800])
    """

    encoder_act = "relu"

    def __init__(
        self,
        n_src: int = 1,
        n_blocks: int = 2,
        n_layers: int = 8,
        n_iters: int | Sequence[int] = 1,
        exits: str = "all",
        bn_chan: int = 256,
        n_heads: int = 8,
        ff_chan: int = 1024,
        chunk_size: int = 250,
        hop_size: int | None = None,
        mask_act: str = "relu",
        n_filters: int = 256,
        kernel_size: int = 16,
        stride: int = 8,
        sample_rate: float = 8000,
    ):
        super().__init__(constructor_args(locals()))

    @override
    def make_bottleneck(self) -> nn.Module:
        c = self.config
        sizes = (c["n_filters"], c["bn_chan"], c["chunk_size"], self.hop_size())
        return DualPathBottleneck(GlobLN(c["n_filters"]), *sizes, bias=False)

    @override
    def make_block(self) -> nn.Module:
        c = self.config
        return DualPathTransformerBlock(c["bn_chan"], c["n_layers"], c["n_heads"], c["ff_chan"])
