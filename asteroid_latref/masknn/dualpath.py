"""Dual-path networks: a latent cut into overlapping chunks, refined within and across them."""

import torch
from asteroid.masknn import activations
from asteroid.utils import has_arg
from torch import nn
from torch.nn import functional as F

from .exits import overlap_add


def to_chunks(x: torch.Tensor, chunk_size: int, hop_size: int) -> torch.Tensor:
    """Cuts frames into overlapping chunks, with ``chunk_size`` zeros on both sides.

    Args:
        x: ``(batch, channels, frames)``.
        chunk_size: in frames.
        hop_size: frames from one chunk to the next.

    Returns:
        ``(batch, channels, chunk_size, n_chunks)``, as ``torch.nn.functional.unfold`` cuts them.

    Examples:
        >>> to_chunks(torch.arange(1.0, 4).reshape(1, 1, 3), chunk_size=2, hop_size=1)[0, 0]
        tensor([[0., 0., 1., 2., 3., 0.],
                [0., 1., 2., 3., 0., 0.]])
    """
    padded = F.pad(x, (chunk_size, chunk_size))
    # (batch, channels, n_chunks, chunk_size) -> (batch, channels, chunk_size, n_chunks)
    return padded.unfold(-1, chunk_size, hop_size).transpose(-1, -2)


def from_chunks(chunks: torch.Tensor, hop_size: int, n_frames: int) -> torch.Tensor:
    """Adds chunks at their place again and drops the margins: where two overlap, their sum.

    Args:
        chunks: ``(batch, channels, chunk_size, n_chunks)`` of :func:`to_chunks`.
        hop_size: frames from one chunk to the next, at most ``chunk_size``.
        n_frames: frames before cutting.

    Returns:
        ``(batch, channels, n_frames)``.

    Examples:
        >>> x = torch.randn(2, 3, 11)
        >>> torch.allclose(from_chunks(to_chunks(x, 4, 2), 2, 11), 2 * x)
        True
    """
    chunk_size = chunks.shape[-2]
    return overlap_add(chunks, hop_size)[..., chunk_size : chunk_size + n_frames]


class DualPathBottleneck(nn.Module):
    """Norm, 1×1 convolution to the latent's channels, and the cut into chunks.

    Args:
        norm: norm of the features.
        n_filters: channels of the features.
        bn_chan: channels of the latent.
        chunk_size: in frames.
        hop_size: frames from one chunk to the next.
        bias: the convolution has a bias.

    Raises:
        ValueError: ``hop_size`` is not between 1 and ``chunk_size``.

    Shape:
        - Input: ``(batch, n_filters, frames)``
        - Output: ``(batch, bn_chan, chunk_size, n_chunks)``
    """

    def __init__(
        self,
        norm: nn.Module,
        n_filters: int,
        bn_chan: int,
        chunk_size: int,
        hop_size: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not 1 <= hop_size <= chunk_size:
            raise ValueError(f"hop_size={hop_size}: must be from 1 to chunk_size={chunk_size}")
        self.chunk_size, self.hop_size = chunk_size, hop_size
        self.norm = norm
        self.conv = nn.Conv1d(n_filters, bn_chan, 1, bias=bias)

    def forward(self, tf_rep: torch.Tensor) -> torch.Tensor:
        """The first latent."""
        return to_chunks(self.conv(self.norm(tf_rep)), self.chunk_size, self.hop_size)


class DualPathMaskNet(nn.Module):
    """PReLU, 1×1 to one map per target slot, chunks joined, tanh·sigmoid gating, 1×1, activation.

    Args:
        bn_chan: channels of the latent.
        n_src: number of target slots.
        n_filters: encoder features that each mask multiplies.
        hop_size: frames from one chunk to the next.
        mask_act: activation of the masks, any name of ``asteroid.masknn.activations``.

    Shape:
        - latent: ``(batch, bn_chan, chunk_size, n_chunks)``
        - Output: ``(batch, n_src, n_filters, n_frames)``

    Reference:
        Luo et al., "Dual-path RNN", ICASSP 2020; Subakan et al., "Attention is all you need in
        speech separation", ICASSP 2021.
    """

    def __init__(self, bn_chan: int, n_src: int, n_filters: int, hop_size: int, mask_act: str):
        super().__init__()
        self.n_src, self.hop_size = n_src, hop_size
        self.first_out = nn.Sequential(nn.PReLU(), nn.Conv2d(bn_chan, n_src * bn_chan, 1))
        self.net_out = nn.Sequential(nn.Conv1d(bn_chan, bn_chan, 1), nn.Tanh())
        self.net_gate = nn.Sequential(nn.Conv1d(bn_chan, bn_chan, 1), nn.Sigmoid())
        self.mask_net = nn.Conv1d(bn_chan, n_filters, 1, bias=False)
        act = activations.get(mask_act)
        self.act = act(dim=1) if has_arg(act, "dim") else act()

    def forward(self, latent: torch.Tensor, n_frames: int) -> torch.Tensor:
        """Args: latent; n_frames: encoder frames, which the chunks alone do not tell."""
        # (batch, n_src * bn_chan, chunk_size, n_chunks) -> (batch * n_src, bn_chan, ...)
        maps = self.first_out(latent).unflatten(1, (self.n_src, -1)).flatten(0, 1)
        joined = from_chunks(maps, self.hop_size, n_frames)
        scores = self.mask_net(self.net_out(joined) * self.net_gate(joined))
        # (batch * n_src, n_filters, n_frames) -> (batch, n_src, n_filters, n_frames)
        return self.act(scores.unflatten(0, (-1, self.n_src)))
