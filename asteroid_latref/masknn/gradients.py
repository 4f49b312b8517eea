"""Hand-made backward passes: they save one tensor per norm and make the rest from it again."""

from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .layout import EPS, Geometry, convolve, rows

FEW_FRAMES = 2048
"""Below, PyTorch's group norm goes back on one thread only."""


class NormActConv(torch.autograd.Function):
    """``(conv(act(norm(x))), norm(x))``, of gLN, PReLU and convolution. No second derivatives."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        slope: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        geometry: Geometry,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Saves ``x`` and the parameters."""
        normed = F.group_norm(x.to(gamma.dtype), 1, gamma, beta, EPS)
        ctx.save_for_backward(x, gamma, beta, slope, weight)
        ctx.has_bias, ctx.geometry = bias is not None, geometry
        ctx.set_materialize_grads(False)
        return convolve(_act(normed, slope), weight, bias, geometry), normed

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: torch.Tensor | None, grad_normed: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        """Makes the normed and activated ``x`` again, then goes back through all three."""
        x, gamma, beta, slope, weight = ctx.saved_tensors
        xf = x.to(gamma.dtype)
        normed, mean, rstd = _norm_with_stats(xf, gamma, beta)
        grad_slope = grad_weight = grad_bias = None
        if grad is not None:
            wanted = (True, ctx.needs_input_grad[4], ctx.has_bias and ctx.needs_input_grad[5])
            grad_in, grad_weight, grad_bias = conv_backward(
                grad, _act(normed, slope), weight, ctx.geometry, wanted
            )
            grad_in = cast(torch.Tensor, grad_in).to(gamma.dtype)
            if slope is not None:
                grad_in, grad_slope = _act_backward(grad_in, normed, slope)
            # The gradient is ours alone here, so it can take the other one in.
            grad_normed = grad_in if grad_normed is None else grad_in.add_(grad_normed)
        if grad_normed is None:
            return (None,) * 7
        grad_x, grad_gamma, grad_beta = _norm_backward(grad_normed, xf, mean, rstd, gamma)
        return grad_x.to(x.dtype), grad_gamma, grad_beta, grad_slope, grad_weight, grad_bias, None


class Merge(torch.autograd.Function):
    """:func:`merge_in_place`: saves nothing, where an addition out of place makes two tensors."""

    @staticmethod
    def forward(ctx: Any, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Overwrites ``fine``."""
        ctx.mark_dirty(fine)
        return merge_in_place(fine, coarse)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds the gradients of the two frames that a coarse one went to."""
        coarse = grad[..., ::2].clone(memory_format=torch.preserve_format)
        odd = grad[..., 1::2]
        coarse[..., : odd.shape[-1]] += odd
        return grad, coarse


def conv_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    geometry: Geometry,
    wanted: tuple[bool, bool, bool],
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """Gradients of a convolution's input, weight and bias, in the arithmetic of ``grad``.

    oneDNN takes 20 forward passes' time for the weight and bias of a depthwise convolution; sums
    over shifted products take 5.
    """
    stride, padding, dilation, groups = geometry
    x, weight_ = x.to(grad.dtype), weight.unsqueeze(2).to(grad.dtype)
    by_hand = groups > 1 and groups == grad.shape[1] == x.shape[1] and grad.device.type == "cpu"
    mask = [wanted[0], False, False] if by_hand else list(wanted)
    grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
        grad, x, weight_, [weight.shape[0]], [1, stride], [0, padding], [1, dilation],
        False, [0, 0], groups, mask,
    )  # fmt: skip
    if by_hand:
        if wanted[1]:
            grad_weight = _depthwise_weight_grad(grad, x, weight.shape[-1], geometry)
        if wanted[2]:
            grad_bias = _per_channel(rows(grad))
    elif grad_weight is not None:
        grad_weight = grad_weight.squeeze(2)
    to = weight.dtype
    return (
        grad_x,
        None if grad_weight is None else grad_weight.to(to),
        None if grad_bias is None else grad_bias.to(to),
    )


def _depthwise_weight_grad(
    grad: torch.Tensor, x: torch.Tensor, kernel_size: int, geometry: Geometry
) -> torch.Tensor:
    stride, padding, dilation, _ = geometry
    n_in, n_out = x.shape[-1], grad.shape[-1]
    taps = []
    # One buffer for all products: fresh memory is not in the cache.
    product = torch.empty_like(rows(grad))
    for k in range(kernel_size):
        shift = k * dilation - padding  # output frame t reads input frame stride * t + shift
        first = max(0, -(shift // stride))
        last = min(n_out, (n_in - 1 - shift) // stride + 1)
        start = first * stride + shift
        read = x[..., start : start + (last - first - 1) * stride + 1 : stride]
        n = max(0, last - first)
        torch.mul(rows(grad)[:, first:last], rows(read)[:, :n], out=product[:, :n])
        taps.append(_per_channel(product[:, :n]))
    # kernel_size × (channels,) -> (channels, 1, kernel_size)
    return torch.stack(taps, dim=-1).unsqueeze(1)


def _per_channel(x: torch.Tensor) -> torch.Tensor:
    """Sum over all but channels: ``(batch, frames, channels)`` to ``(channels,)``.

    On :func:`rows`: in four dimensions PyTorch takes twice as long for the same bytes.
    """
    return x.sum((0, 1), dtype=torch.promote_types(x.dtype, torch.float32))


def _act(normed: torch.Tensor, slope: torch.Tensor | None) -> torch.Tensor:
    return normed if slope is None else F.prelu(normed, slope)


def _act_backward(
    grad: torch.Tensor, normed: torch.Tensor, slope: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """PReLU's backward; ``grad`` may be overwritten. PyTorch's makes a full-size slope gradient."""
    positive = torch.ops.aten.threshold_backward(grad, normed, 0)  # grad where normed > 0, else 0
    negative = grad.sub_(positive)
    positive.addcmul_(negative, slope.view(1, -1, 1, 1))
    per_channel = _per_channel(rows(negative.mul_(normed)))
    return positive, per_channel if slope.numel() > 1 else per_channel.sum(0, keepdim=True)


def _norm_with_stats(
    x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, channels, frames = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    return torch.native_group_norm(x, gamma, beta, batch, channels, frames, 1, EPS)


def _norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    gamma: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, channels, frames = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    if x.device.type == "cpu" and frames < FEW_FRAMES:
        return _norm_backward_by_hand(rows(grad), rows(x), mean, rstd, gamma)
    grad = grad.contiguous(memory_format=torch.channels_last)
    wanted = [True, True, True]
    return torch.ops.aten.native_group_norm_backward(
        grad, x, mean, rstd, gamma, batch, channels, frames, 1, wanted
    )


def _norm_backward_by_hand(
    grad: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    gamma: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same on ``(batch, frames, channels)``, with ``mean`` and ``rstd`` ``(batch, 1)``."""
    n = x.shape[1] * x.shape[2]
    grad_beta = grad.sum(1)  # (batch, channels), summed over the batch below; likewise gamma's
    grad_gamma = ((grad * x).sum(1) - mean * grad_beta) * rstd
    along_one = (grad_beta @ gamma / n).unsqueeze(1)  # (batch, 1): mean of gamma * grad,
    along_x = (grad_gamma @ gamma / n).unsqueeze(1)  # and of its product with the normed x
    # rstd * (gamma * grad - along_one - (x - mean) * rstd * along_x)
    offset = rstd * (along_x * mean * rstd - along_one)
    grad_x = torch.addcmul(offset.unsqueeze(1), x, (-along_x * rstd * rstd).unsqueeze(1))
    grad_x.addcmul_(grad, (gamma * rstd).unsqueeze(1))
    return grad_x.transpose(1, 2).unsqueeze(2), grad_gamma.sum(0), grad_beta.sum(0)


def merge_in_place(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Adds every frame of ``coarse`` to two frames of ``fine``."""
    if fine.shape[-1] % 2 == 0:
        fine.unflatten(-1, (-1, 2)).add_(coarse.unsqueeze(-1))
    else:
        fine[..., ::2] += coarse
        fine[..., 1::2] += coarse[..., :-1]
    return fine
