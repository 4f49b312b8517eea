"""The operations of a sub-block, each in the way that is fastest for who calls it.

Plain PyTorch is in each of them; beside it, what training does by hand (to save little), what
inference does in place, and what a compiler is given. All work on the layout of
:mod:`asteroid_latref.masknn.layout`.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from .gradients import Merge, NormActConv, merge_in_place
from .layout import EPS, convolve, follows_shapes, geometry_of, saves_by_hand


def conv(x: torch.Tensor, layer: nn.Conv1d) -> torch.Tensor:
    """``layer`` on ``(batch, channels, 1, frames)``: the same sums as on ``(.., frames)``."""
    return convolve(x, layer.weight, layer.bias, geometry_of(layer))


def glob_norm(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    """gLN of ``x``, in float32 whatever ``x`` is."""
    gamma, beta = cast(torch.Tensor, norm.gamma), cast(torch.Tensor, norm.beta)
    x = x.to(gamma.dtype)
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return F.group_norm(x, 1, gamma, beta, EPS)
    if x.device.type == "cpu" and not torch.is_grad_enabled():
        return cast(torch.Tensor, torch.ops.asteroid_latref.glob_norm(x, gamma, beta))
    return norm_by_sums(x, gamma, beta)


def norm_act_conv(
    x: torch.Tensor, norm: nn.Module, act: nn.PReLU, layer: nn.Conv1d
) -> torch.Tensor:
    """gLN, PReLU and a convolution: ``layer(act(norm(x)))``.

    What autograd would save three tensors for (input of the norm, of the PReLU, of the
    convolution) saves ``x`` alone: the backward pass makes the other two from it in two passes.

    Args:
        x: ``(batch, channels, 1, frames)``.
        norm: a gLN with ``gamma`` and ``beta``.
        act: the PReLU behind it.
        layer: 1×1 or depthwise convolution.
    """
    if saves_by_hand(x, *norm.parameters(), *layer.parameters(), act.weight):
        return _by_hand(x, norm, act.weight, layer)[0]
    x = glob_norm(x, norm)  # the same name, so that the input is freed before the output is made
    return conv(_act(x, act.weight), layer)


def norm_conv(
    x: torch.Tensor, norm: nn.Module, layer: nn.Conv1d
) -> tuple[torch.Tensor, torch.Tensor]:
    """gLN and a convolution: ``layer(norm(x))`` and ``norm(x)``; see :func:`norm_act_conv`."""
    if saves_by_hand(x, *norm.parameters(), *layer.parameters()):
        return _by_hand(x, norm, None, layer)
    normed = glob_norm(x, norm)
    return conv(normed, layer), normed


def merge(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """``fine`` plus ``coarse`` with every frame twice; ``fine`` may be overwritten.

    Args:
        fine: ``(batch, channels, 1, frames)``.
        coarse: ``(batch, channels, 1, ceil(frames / 2))``.
    """
    if follows_shapes():
        return fine + repeat_frames(coarse, fine.shape[-1])
    if torch.is_grad_enabled() and (fine.requires_grad or coarse.requires_grad):
        return cast(torch.Tensor, Merge.apply(fine, coarse))
    return merge_in_place(fine, coarse)


def repeat_frames(coarse: torch.Tensor, n_frames: int) -> torch.Tensor:
    """Every frame twice: ``(.., ceil(n_frames / 2))`` to ``(.., n_frames)``."""
    if torch.compiler.is_exporting():
        # Cutting the odd frame off would tie the exported program to odd or to even lengths.
        frames = torch.arange(n_frames, device=coarse.device) // 2
        return coarse.index_select(-1, frames)
    return F.interpolate(coarse, scale_factor=(1.0, 2.0))[..., :n_frames]


def norm_by_sums(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """gLN by sums of ``x`` and its square: one pass, where the compiler's own takes Welford's."""
    mean = x.mean((1, 2, 3), keepdim=True)
    variance = (x * x).mean((1, 2, 3), keepdim=True) - mean * mean
    scale = torch.rsqrt(variance.clamp(min=0) + EPS) * gamma.view(1, -1, 1, 1)
    return x * scale + (beta.view(1, -1, 1, 1) - mean * scale)


def _by_hand(
    x: torch.Tensor, norm: nn.Module, slope: torch.Tensor | None, layer: nn.Conv1d
) -> tuple[torch.Tensor, torch.Tensor]:
    parameters = (norm.gamma, norm.beta, slope, layer.weight, layer.bias)
    out = NormActConv.apply(x, *parameters, geometry_of(layer))
    return cast(tuple[torch.Tensor, torch.Tensor], out)


def _act(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """PReLU; in place where PyTorch can, which spares a new tensor."""
    if follows_shapes() or slope.numel() > 1 or slope.device.type != "cpu":
        return F.prelu(x, slope)
    return F.leaky_relu_(x, slope.item())


def _glob_norm_on_cpu(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    return F.group_norm(x, 1, gamma, beta, EPS)


# PyTorch's own kernel as one operation: a compiler takes a norm apart, and its sums are slower.
if not hasattr(torch.ops.asteroid_latref, "glob_norm"):
    _library = torch.library.Library("asteroid_latref", "FRAGMENT")
    _library.define("glob_norm(Tensor x, Tensor gamma, Tensor beta) -> Tensor")
    _library.impl("glob_norm", _glob_norm_on_cpu, "CPU")
    torch.library.register_fake("asteroid_latref::glob_norm", lambda x, *_: torch.empty_like(x))
