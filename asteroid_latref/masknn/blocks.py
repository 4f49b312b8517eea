"""Sub-blocks: the unit of refinement, from a latent to a latent of the same shape."""

import torch
from asteroid.masknn import convolutional
from torch import nn
from torch.nn import functional as F

from .norms import use_fused_norms


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
        levels = [self.spp_dw[0](self.proj_1x1(x))]
        for downsample in self.spp_dw[1:]:
            levels.append(downsample(levels[-1]))
        merged = levels.pop()
        while levels:
            finer = levels.pop()
            merged = finer + upsample(merged, finer.shape[-1])
        return self.res_conv(self.final_norm(merged)) + x


def upsample(coarse: torch.Tensor, n_frames: int) -> torch.Tensor:
    """Repeats every frame: ``(batch, channels, ceil(n_frames / 2))`` to ``(.., n_frames)``."""
    if torch.compiler.is_exporting():
        # Cutting the odd frame off would tie the exported program to odd or to even lengths.
        frames = torch.arange(n_frames, device=coarse.device) // 2
        return coarse.index_select(-1, frames)
    return F.interpolate(coarse, scale_factor=2.0)[..., :n_frames]
