"""Sub-blocks: the unit of refinement, from a latent to a latent of the same shape."""

from itertools import pairwise
from typing import cast

import torch
from asteroid.masknn import convolutional
from torch import nn

from .functional import conv, frames_last, glob_norm, merge, norm_act_conv
from .norms import GlobLN, use_fused_norms


class UConvBlock(convolutional.UConvBlock):
    """U-ConvBlock of Sudo rm -rf: one refinement of the latent at several time resolutions.

    1×1 up to ``hid_chan`` channels, gLN, PReLU; depthwise convolutions of kernel 5, the first of
    stride 1 and the others of stride 2, each followed by gLN; the resolutions summed from the
    coarsest by nearest ×2 upsampling; gLN, PReLU, 1×1 back to ``bn_chan``; plus the input.

    Args:
        bn_chan: channels of the latent.
        hid_chan: channels inside the block.
        upsampling_depth: number of time resolutions.
        prelu_per_channel: the last PReLU has a slope per channel (Asteroid) instead of one (LIR).

    Shape:
        - Input: ``(batch, bn_chan, frames)``, any number of frames.
        - Output: the same.

    Reference:
        LIR §2.1; Tzinis et al., "Sudo rm -rf", MLSP 2020.

    Examples:
        >>> UConvBlock(bn_chan=8, hid_chan=16, upsampling_depth=3)(torch.randn(2, 8, 50)).shape
        torch.Size([2, 8, 50])
    """

    def __init__(
        self,
        bn_chan: int = 128,
        hid_chan: int = 512,
        upsampling_depth: int = 5,
        prelu_per_channel: bool = False,
    ):
        super().__init__(out_chan=bn_chan, in_chan=hid_chan, upsampling_depth=upsampling_depth)
        self.final_norm.act = nn.PReLU(hid_chan if prelu_per_channel else 1)
        use_fused_norms(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One refinement of ``x``."""
        latent = frames_last(x)  # (batch, bn_chan, frames) -> (batch, bn_chan, 1, frames)
        hidden = conv(latent, self.proj_1x1.conv)
        hidden, _ = norm_act_conv(
            hidden, self.proj_1x1.norm, self.proj_1x1.act, self.spp_dw[0].conv
        )
        levels = []
        for level, coarser in pairwise(self.spp_dw):
            hidden, normed = norm_act_conv(hidden, level.norm, None, coarser.conv)
            levels.append(normed)
        merged = glob_norm(hidden, self.spp_dw[-1].norm)
        while levels:
            merged = merge(levels.pop(), merged)
        out, _ = norm_act_conv(merged, self.final_norm.norm, self.final_norm.act, self.res_conv)
        return (out + latent).squeeze(2)


class NormProjection(nn.Sequential):
    """gLN and a 1×1 convolution, from encoder features to the first latent.

    Args:
        n_filters: channels of the features.
        bn_chan: channels of the latent.

    Shape:
        - Input: ``(batch, n_filters, frames)``
        - Output: ``(batch, bn_chan, frames)``

    Examples:
        >>> NormProjection(16, 8)(torch.randn(2, 16, 50)).shape
        torch.Size([2, 8, 50])
    """

    def __init__(self, n_filters: int, bn_chan: int):
        super().__init__(GlobLN(n_filters), nn.Conv1d(n_filters, bn_chan, 1))

    def forward(self, tf_rep: torch.Tensor) -> torch.Tensor:
        """The first latent."""
        norm, projection = self
        latent, _ = norm_act_conv(frames_last(tf_rep), norm, None, cast(nn.Conv1d, projection))
        return latent.squeeze(2)
