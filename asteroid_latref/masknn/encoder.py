"""Encoder: the waveform cut into frames, and one matrix product."""

import torch
from asteroid_filterbanks import Encoder
from torch.nn import functional as F


class FrameEncoder(Encoder):
    """Asteroid's encoder of a free filterbank, as a product whose frames lie in memory in a row.

    Same weights and outputs; saves the copy from the layout of ``conv1d`` to the one that blocks
    work in (see :mod:`asteroid_latref.masknn.layout`).

    Shape:
        - Input: ``(batch, 1, time)``
        - Output: ``(batch, n_filters, frames)``

    Examples:
        >>> from asteroid_filterbanks.free_fb import FreeFB
        >>> FrameEncoder(FreeFB(8, 5, 2), padding=2)(torch.randn(3, 1, 21)).shape
        torch.Size([3, 8, 11])
    """

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Features of ``waveform``."""
        filters = self.get_filters()  # (n_filters, 1, kernel_size)
        padded = F.pad(waveform, [self.padding, self.padding])
        # (batch, 1, time) -> (batch, 1, frames, kernel_size) -> (batch, kernel_size, 1, frames)
        frames = padded.unfold(-1, filters.shape[-1], self.stride).permute(0, 3, 1, 2)
        frames = frames.contiguous(memory_format=torch.channels_last)
        # (n_filters, 1, kernel_size) -> (n_filters, kernel_size, 1, 1)
        return F.conv2d(frames, filters.transpose(1, 2).unsqueeze(-1)).squeeze(2)
