"""Exits: what turns the latent behind a block into masks, and masked features into sound."""

import torch
from asteroid.masknn import activations
from asteroid.utils import has_arg
from torch import nn
from torch.nn import functional as F


class MaskNet(nn.Module):
    """PReLU, 1×1 convolution to one mask per target slot, activation.

    Args:
        bn_chan: channels of the latent.
        n_src: number of target slots.
        n_filters: encoder features that each mask multiplies.
        mask_act: activation of the masks, any name of ``asteroid.masknn.activations``
            (``"softmax"`` acts across the slots).

    Shape:
        - latent: ``(batch, bn_chan, frames)``
        - Output: ``(batch, n_src, n_filters, frames)``

    Reference:
        LIR §2.1, mask estimation.
    """

    def __init__(self, bn_chan: int, n_src: int, n_filters: int, mask_act: str = "relu"):
        super().__init__()
        self.n_src, self.n_filters = n_src, n_filters
        self.net = nn.Sequential(nn.PReLU(), nn.Conv1d(bn_chan, n_src * n_filters, 1))
        act = activations.get(mask_act)
        self.act = act(dim=1) if has_arg(act, "dim") else act()

    def forward(self, latent: torch.Tensor, n_frames: int) -> torch.Tensor:
        """Args: latent; n_frames: encoder frames, which here are the latent's own."""
        scores = self.net(latent)
        # (batch, n_src * n_filters, frames) -> (batch, n_src, n_filters, frames)
        return self.act(scores.unflatten(1, (self.n_src, self.n_filters)))


class OverlapAddDecoder(nn.Module):
    """Transposed convolution from masked features to waveforms, as a product plus overlap-add.

    ``conv_transpose1d`` to a handful of output channels is slow on CPUs; the same sums are one
    matrix product followed by ``ceil(kernel_size / stride)`` shifted additions.

    Args:
        n_src: number of target slots.
        n_filters: features per slot.
        kernel_size: length of the synthesis filters, in samples.
        stride: hop between frames, in samples.
        padding: samples dropped in front, as the encoder padded them.
        joint: ``True``: every slot is synthesised from the masked features of all slots
            (``decoder="joint"``, LIR); ``False``: all slots share one filterbank
            (``decoder="shared"``, Asteroid).

    Shape:
        - Input: ``(batch, n_src, n_filters, frames)``
        - Output: ``(batch, n_src, time)``, time = (frames - 1) * stride + kernel_size - padding

    Examples:
        >>> OverlapAddDecoder(2, 16, 21, 10, padding=10)(torch.randn(3, 2, 16, 5)).shape
        torch.Size([3, 2, 51])
    """

    def __init__(
        self,
        n_src: int,
        n_filters: int,
        kernel_size: int,
        stride: int,
        padding: int = 0,
        joint: bool = True,
    ):
        super().__init__()
        self.stride, self.padding = stride, padding
        n_in, n_out = (n_src * n_filters, n_src) if joint else (n_filters, 1)
        self.weight = nn.Parameter(torch.empty(n_in, n_out, kernel_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, masked: torch.Tensor) -> torch.Tensor:
        """Waveforms of ``masked``."""
        n_in, n_out, kernel_size = self.weight.shape
        batch, n_src, _, frames = masked.shape
        # (batch, n_src, n_filters, frames) -> (batch * n_src / n_out, n_in, frames)
        features = masked.reshape(batch * n_src // n_out, n_in, frames)
        # (n_out * kernel_size, n_in) @ (.., n_in, frames) -> (.., n_out * kernel_size, frames)
        pieces = self.weight.reshape(n_in, -1).t() @ features
        wav = overlap_add(pieces.unflatten(1, (n_out, kernel_size)), self.stride)
        # (batch * n_src / n_out, n_out, time) -> (batch, n_src, time)
        return wav.reshape(batch, n_src, -1)[..., self.padding :]


def overlap_add(pieces: torch.Tensor, stride: int) -> torch.Tensor:
    """Adds frames at their place in time.

    Args:
        pieces: ``(batch, channels, kernel_size, frames)``.
        stride: hop between frames, in samples.

    Returns:
        ``(batch, channels, (frames - 1) * stride + kernel_size)``.

    Examples:
        >>> overlap_add(torch.ones(1, 1, 3, 4), stride=2)
        tensor([[[1., 1., 2., 1., 2., 1., 2., 1., 1.]]])
    """
    kernel_size, frames = pieces.shape[-2:]
    n_hops = -(-kernel_size // stride)
    hops = F.pad(pieces, (0, 0, 0, n_hops * stride - kernel_size)).split(stride, dim=-2)
    # Hop j of a frame falls j strides after the frame's start: shift it by j frames and add.
    shifted = [F.pad(hop, (j, n_hops - 1 - j)) for j, hop in enumerate(hops)]
    total = torch.stack(shifted).sum(0) if n_hops > 1 else shifted[0]
    # (batch, channels, stride, frames + n_hops - 1) -> (batch, channels, time)
    wav = total.transpose(-1, -2).flatten(-2)
    return wav[..., : (frames - 1) * stride + kernel_size]


class ExitDecoders(nn.ModuleDict):
    """One decoder per exit, keyed by the number of blocks before it (``"1"``, ``"2"``, …)."""

    def forward(self, masked: torch.Tensor, n_blocks: int) -> torch.Tensor:
        """``(batch, n_src, n_filters, frames)`` to waveforms, by the decoder of an exit."""
        return self[str(n_blocks)](masked)
