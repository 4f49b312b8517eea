"""The gate: per example, refine once more or stop."""

from typing import cast

import torch
from asteroid.utils.torch_utils import script_if_tracing
from torch import nn

from .layout import follows_shapes


class Gate(nn.Module):
    """Decides from the latent whether an example is refined once more.

    1×1 convolution to two channels, PReLU, one convolution over four seconds of latent to two
    logits: "refine" and "stop". In eval the larger logit decides. In training the decision is
    drawn: hard in the forward pass, the gradient is that of the soft one (straight-through Gumbel
    softmax, temperature 1).

    Any length is taken. A latent longer than ``kernel_size`` gets the mean of the logits over
    every window of ``kernel_size`` frames in it; a shorter one is zero-padded on the right after
    the 1×1 convolution, as training chunks are padded.

    Args:
        bn_chan: channels of the latent.
        kernel_size: frames of latent that one decision looks at; 3200 are 4 s at 8 kHz and
            stride 10, the papers' training chunks.
        bias: added to the logit of "refine": above zero more steps and quality, below zero fewer.
            ``inf`` always refines, ``-inf`` never does.

    Shape:
        - latent: ``(batch, bn_chan, frames)``
        - Output: ``(batch,)``: 1 refine, 0 stop.

    Reference:
        LIR §2.3, Eq. 7–10.

    Examples:
        >>> gate = Gate(bn_chan=128).eval()
        >>> sum(p.numel() for p in gate.parameters())
        13061
        >>> gate(torch.randn(5, 128, 700)).shape
        torch.Size([5])
    """

    def __init__(self, bn_chan: int = 128, kernel_size: int = 3200, bias: float = 0.0):
        super().__init__()
        self.bias = float(bias)
        self.reduce = nn.Sequential(nn.Conv1d(bn_chan, 2, 1), nn.PReLU())
        self.judge = nn.Conv1d(2, 2, kernel_size)

    @torch.no_grad()
    def start_at(self, margin: float) -> None:
        """Forgets what was learnt: every input gets ``margin``, 2 refines with a chance of 0.88."""
        self.judge.weight.zero_()
        assert self.judge.bias is not None
        self.judge.bias.copy_(torch.tensor([margin / 2, -margin / 2]))

    def margin(self, latent: torch.Tensor) -> torch.Tensor:
        """Logit of "refine" minus that of "stop", plus the bias: ``(batch,)``."""
        conv, prelu = cast(nn.Conv1d, self.reduce[0]), self.reduce[1]
        # A product, in any layout: oneDNN would reorder the whole latent for two channels.
        reduced = prelu(conv.weight[..., 0] @ latent + cast(nn.Parameter, conv.bias)[:, None])
        # (batch, 2, frames) -> (batch, 2, kernel_size)
        size = self.judge.kernel_size[0]
        whole = not follows_shapes() and reduced.shape[-1] == size
        window = reduced if whole else mean_window(reduced, size)
        refine, stop = self.judge(window).squeeze(-1).unbind(1)  # (batch,) each
        return refine - stop + self.bias

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Decisions on ``latent``, in training with the gradient of the soft ones."""
        margin = self.margin(latent)
        if not self.training:
            # "refine" is the first class, so argmax gives it a tie.
            return (margin >= 0).to(margin.dtype)
        # The difference of two Gumbel variables is logistic, a softmax of two is a sigmoid.
        soft = torch.sigmoid(margin + torch.logit(torch.rand_like(margin), eps=1e-6))
        # x - x is exactly zero, so that sums of decisions are whole numbers.
        return (soft >= 0.5).to(soft.dtype) + (soft - soft.detach())


@script_if_tracing
def mean_window(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean of all windows of ``size`` frames in ``x``, which is zero-padded if it is shorter.

    What follows is linear in its window, so this is the mean of its outputs over all windows, at
    a cost that grows with the frames alone.

    Args:
        x: ``(batch, channels, frames)``.
        size: frames per window.

    Returns:
        ``(batch, channels, size)``.

    Examples:
        >>> mean_window(torch.tensor([[[1.0, 2.0, 5.0, 6.0]]]), 3)
        tensor([[[1.5000, 3.5000, 5.5000]]])
        >>> mean_window(torch.tensor([[[1.0, 2.0]]]), 3)
        tensor([[[1., 2., 0.]]])
    """
    frames = x.shape[-1]
    # Sums up to each frame, in double precision: differences of large sums follow.
    sums = torch.nn.functional.pad(x.double().cumsum(-1), [1, 0])
    # No branch on the length, so that an exported graph follows any.
    length = torch.full([1], frames, device=x.device)
    n_windows = (length - size).clamp(min=0) + 1
    first = torch.arange(size, device=x.device)
    end = sums.index_select(-1, torch.minimum(first + n_windows, length))
    start = sums.index_select(-1, torch.minimum(first, length))
    return ((end - start) / n_windows).to(x.dtype)
