"""Sub-blocks: the unit of refinement, from a latent to a latent of the same shape."""

from itertools import pairwise
from typing import cast

import torch
from asteroid.masknn import convolutional
from torch import nn

from .functional import conv, glob_norm, merge, norm_act_conv, norm_conv
from .layout import frames_last
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
        into, out = self.proj_1x1, self.final_norm
        # Calls within calls: no name keeps a large tensor longer than it is needed.
        finest = norm_act_conv(conv(latent, into.conv), into.norm, into.act, self.spp_dw[0].conv)
        refined = norm_act_conv(self._all_levels(finest), out.norm, out.act, self.res_conv)
        return (refined + latent).squeeze(2)

    def _all_levels(self, hidden: torch.Tensor) -> torch.Tensor:
        """The sum of all resolutions, from the finest one before its norm."""
        levels = []
        for level, coarser in pairwise(self.spp_dw):
            hidden, normed = norm_conv(hidden, level.norm, coarser.conv)
            levels.append(normed)
        merged = glob_norm(hidden, self.spp_dw[-1].norm)
        while levels:
            merged = merge(levels.pop(), merged)
        return merged


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
        latent, _ = norm_conv(frames_last(tf_rep), norm, cast(nn.Conv1d, projection))
        return latent.squeeze(2)
