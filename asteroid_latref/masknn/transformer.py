"""Sub-block of SepFormer: transformers within chunks, then across them."""

import math

import torch
from asteroid.dsp.overlap_add import DualPathProcessing
from torch import nn
from torch.nn import functional as F

from .norms import GlobLN


def sinusoids(length: int, channels: int, like: torch.Tensor) -> torch.Tensor:
    """Sinusoidal positions of Vaswani et al. 2017: ``(length, channels)``, as ``like`` is typed.

    Examples:
        >>> sinusoids(2, 4, torch.empty(0))[0]
        tensor([0., 1., 0., 1.])
    """
    steps = torch.arange(channels // 2, device=like.device, dtype=like.dtype)
    rates = torch.exp(steps * (-2 * math.log(10000.0) / channels))
    # (length, channels / 2): angle of a position at each rate
    angles = torch.arange(length, device=like.device, dtype=like.dtype)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward, each on a residual path.

    Attention is one call of ``scaled_dot_product_attention``: PyTorch's own layer changes its code
    path between training and inference, and that path counts no FLOPs.

    Args:
        channels: of the sequence.
        n_heads: attention heads; must divide ``channels``.
        ff_chan: channels of the feed-forward part.

    Raises:
        ValueError: ``n_heads`` does not divide ``channels``.

    Shape:
        - Input: ``(batch, length, channels)``
        - Output: the same.

    Reference:
        Subakan et al., "Attention is all you need in speech separation", ICASSP 2021, Eq. 5–7.
    """

    def __init__(self, channels: int, n_heads: int, ff_chan: int) -> None:
        super().__init__()
        if channels % n_heads:
            raise ValueError(f"n_heads={n_heads}: must divide the {channels} channels")
        self.n_heads = n_heads
        self.norm_attn = nn.LayerNorm(channels, eps=1e-6)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm_ff = nn.LayerNorm(channels, eps=1e-6)
        self.ff = nn.Sequential(
            nn.Linear(channels, ff_chan), nn.ReLU(), nn.Linear(ff_chan, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One layer."""
        # (batch, length, 3 * channels) -> 3 × (batch, n_heads, length, channels / n_heads)
        qkv = self.qkv(self.norm_attn(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v)
        # (batch, n_heads, length, channels / n_heads) -> (batch, length, channels)
        x = x + self.out(attended.transpose(1, 2).flatten(-2))
        return x + self.ff(self.norm_ff(x))


class Transformer(nn.Module):
    """Sinusoidal positions, a stack of :class:`TransformerLayer`, a last layer norm.

    Args:
        channels: of the sequence; even.
        n_layers: layers.
        n_heads: attention heads.
        ff_chan: channels of the feed-forward part.

    Shape:
        - Input: ``(batch, channels, length)``
        - Output: the same.
    """

    def __init__(self, channels: int, n_layers: int, n_heads: int, ff_chan: int) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"bn_chan={channels}: sinusoidal positions need an even number")
        layers = (TransformerLayer(channels, n_heads, ff_chan) for _ in range(n_layers))
        self.layers = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The refined sequence."""
        sequence = x.transpose(1, 2)  # (batch, length, channels)
        positions = sinusoids(sequence.shape[1], sequence.shape[2], sequence)
        return self.norm(self.layers(sequence + positions)).transpose(1, 2)


class DualPathTransformerBlock(nn.Module):
    """A transformer within every chunk, then one across them, each with gLN and residual.

    Args:
        bn_chan: channels of the latent.
        n_layers: transformer layers, of either kind.
        n_heads: attention heads.
        ff_chan: channels of the feed-forward parts.

    Shape:
        - Input: ``(batch, bn_chan, chunk_size, n_chunks)``
        - Output: the same.

    Reference:
        Subakan et al., ICASSP 2021, §2.2.

    Examples:
        >>> block = DualPathTransformerBlock(8, n_layers=1, n_heads=2, ff_chan=16)
        >>> block(torch.randn(2, 8, 10, 3)).shape
        torch.Size([2, 8, 10, 3])
    """

    def __init__(self, bn_chan: int, n_layers: int, n_heads: int, ff_chan: int) -> None:
        super().__init__()
        self.intra = Transformer(bn_chan, n_layers, n_heads, ff_chan)
        self.intra_norm = GlobLN(bn_chan)
        self.inter = Transformer(bn_chan, n_layers, n_heads, ff_chan)
        self.inter_norm = GlobLN(bn_chan)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One refinement of ``x``."""
        x = x + self.intra_norm(DualPathProcessing.intra_process(x, self.intra))
        return x + self.inter_norm(DualPathProcessing.inter_process(x, self.inter))
