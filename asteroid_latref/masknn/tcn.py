"""Sub-block of Conv-TasNet: a dilated depthwise convolution on a residual path."""

import torch
from asteroid.masknn.convolutional import Conv1DBlock

from .norms import GlobLN


class TCNBlock(Conv1DBlock):
    """Conv-TasNet's 1-D convolutional block without skip path: ``y ← y + block(y)``.

    1×1 up to ``hid_chan`` channels, PReLU, gLN; dilated depthwise convolution, PReLU, gLN; 1×1 back
    to ``bn_chan``; plus the input.

    Args:
        bn_chan: channels of the latent.
        hid_chan: channels inside the block.
        conv_kernel_size: length of the depthwise convolution, odd, in frames.
        dilation: its dilation, in frames.

    Raises:
        ValueError: an even ``conv_kernel_size``, which would change the number of frames.

    Shape:
        - Input: ``(batch, bn_chan, frames)``, any number of frames.
        - Output: the same.

    Reference:
        BLOOM-Net §2.2; Luo & Mesgarani, "Conv-TasNet", TASLP 2019.

    Examples:
        >>> TCNBlock(bn_chan=8, hid_chan=16, dilation=4)(torch.randn(2, 8, 5)).shape
        torch.Size([2, 8, 5])
    """

    def __init__(
        self, bn_chan: int, hid_chan: int, conv_kernel_size: int = 3, dilation: int = 1
    ) -> None:
        if conv_kernel_size % 2 == 0:
            raise ValueError(f"conv_kernel_size={conv_kernel_size}: must be odd")
        padding = (conv_kernel_size - 1) // 2 * dilation
        super().__init__(
            bn_chan, hid_chan, 0, conv_kernel_size, padding, dilation, norm_type=GlobLN
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One refinement of ``x``."""
        return x + super().forward(x)
