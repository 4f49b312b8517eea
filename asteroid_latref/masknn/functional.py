"""The operations of a sub-block, laid out for speed and saving little for the backward pass.

Inside, a latent is ``(batch, channels, 1, frames)`` whose memory is ``(batch, frames, channels)``
(PyTorch's ``channels_last``): 1×1 convolutions are then plain matrix products and depthwise ones
run across channels, both without reordering memory, which takes as long as the work itself.
"""

from typing import Any, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPS = 1e-8
ONE_BY_ONE = 2**20
"""Batches whose largest tensor has more elements than this are computed example by example."""

FEW_FRAMES = 2048
"""Below, PyTorch's group norm goes back on one thread only."""


def frames_last(x: torch.Tensor) -> torch.Tensor:
    """``(batch, channels, frames)`` to the layout of this module; a view if it is laid out so."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def one_by_one(batch: torch.Tensor, n_elements: int) -> bool:
    """Whether to compute the examples of a batch in turn instead of all at once.

    On a CPU what is made of one example stays in the cache until it is used, and that of a batch
    does not. Short examples are left together: they fit in any case.

    Args:
        batch: ``(batch, ..)``.
        n_elements: of the largest tensor that will be made of the batch.
    """
    if batch.device.type != "cpu" or follows_shapes() or batch.shape[0] == 1:
        return False
    return n_elements >= ONE_BY_ONE


def conv(x: torch.Tensor, layer: nn.Conv1d) -> torch.Tensor:
    """``layer`` on ``(batch, channels, 1, frames)``: the same sums as on ``(.., frames)``."""
    return _conv(x, layer.weight, layer.bias, _geometry(layer))


def glob_norm(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    """gLN of ``x``, in float32 whatever ``x`` is."""
    gamma, beta = cast(torch.Tensor, norm.gamma), cast(torch.Tensor, norm.beta)
    x = x.to(gamma.dtype)
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return _norm_for_compiler(x, gamma, beta)
    return F.group_norm(x, 1, gamma, beta, EPS)


def norm_act_conv(
    x: torch.Tensor, norm: nn.Module, act: nn.PReLU | None, layer: nn.Conv1d
) -> tuple[torch.Tensor, torch.Tensor]:
    """gLN, PReLU (or nothing) and a convolution: ``conv(act(norm(x)))``.

    What autograd would save three tensors for (input of the norm, of the PReLU, of the
    convolution) saves ``x`` alone: the backward pass makes the other two from it in two passes.

    Args:
        x: ``(batch, channels, 1, frames)``.
        norm: a gLN with ``gamma`` and ``beta``.
        act: PReLU behind the norm, or None.
        layer: the convolution: 1×1 or depthwise.

    Returns:
        The convolution's output, and ``norm(x)`` before the PReLU (which may be changed in place).
    """
    slope = None if act is None else act.weight
    if saves_by_hand(x, *norm.parameters(), *layer.parameters(), slope):
        out = NormActConv.apply(
            x, norm.gamma, norm.beta, slope, layer.weight, layer.bias, _geometry(layer)
        )
        return cast(tuple[torch.Tensor, torch.Tensor], out)
    normed = glob_norm(x, norm)
    return conv(normed if act is None else F.prelu(normed, act.weight), layer), normed


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
    return _merge_in_place(fine, coarse)


def repeat_frames(coarse: torch.Tensor, n_frames: int) -> torch.Tensor:
    """Every frame twice: ``(.., ceil(n_frames / 2))`` to ``(.., n_frames)``."""
    if torch.compiler.is_exporting():
        # Cutting the odd frame off would tie the exported program to odd or to even lengths.
        frames = torch.arange(n_frames, device=coarse.device) // 2
        return coarse.index_select(-1, frames)
    return F.interpolate(coarse, scale_factor=(1.0, 2.0))[..., :n_frames]


def follows_shapes() -> bool:
    """Whether somebody records the operations: no in-place work and no hand-made backward then."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def saves_by_hand(*tensors: torch.Tensor | None) -> bool:
    """Whether a gradient is wanted, and our own backward can be used for it."""
    wanted = any(t is not None and t.requires_grad for t in tensors)
    return wanted and torch.is_grad_enabled() and not follows_shapes()


Geometry = tuple[int, int, int, int]
"""Stride, padding and dilation along the frames, and groups."""


class NormActConv(torch.autograd.Function):
    """``(conv(act(norm(x))), norm(x))``, see :func:`norm_act_conv`. No second derivatives."""

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
        return _conv(_act(normed, slope), weight, bias, geometry), normed

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
    """:func:`merge` in place: saves nothing, where an addition out of place makes two tensors."""

    @staticmethod
    def forward(ctx: Any, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Overwrites ``fine``."""
        ctx.mark_dirty(fine)
        return _merge_in_place(fine, coarse)

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


def rows(x: torch.Tensor) -> torch.Tensor:
    """``(batch, channels, 1, frames)`` as ``(batch, frames, channels)``: no copy."""
    return x[:, :, 0].transpose(1, 2)


def _per_channel(x: torch.Tensor) -> torch.Tensor:
    """Sum over all but channels: ``(batch, frames, channels)`` to ``(channels,)``.

    On :func:`rows`: in four dimensions PyTorch takes twice as long for the same bytes.
    """
    return x.sum((0, 1), dtype=torch.promote_types(x.dtype, torch.float32))


def _geometry(layer: nn.Conv1d) -> Geometry:
    return layer.stride[0], cast(int, layer.padding[0]), layer.dilation[0], layer.groups


def _conv(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry
) -> torch.Tensor:
    stride, padding, dilation, groups = geometry
    # (out, in / groups, kernel) -> (out, kernel, 1, in / groups) -> (out, in / groups, 1, kernel):
    # the strides of a single example do not tell its layout, those of a 1×1 weight then do.
    weight = weight.transpose(1, 2).unsqueeze(2).transpose(1, 3)
    return F.conv2d(x, weight, bias, (1, stride), (0, padding), (1, dilation), groups)


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


def _norm_for_compiler(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """gLN by sums of ``x`` and its square: one pass, where the compiler's own takes Welford's."""
    mean = x.mean((1, 2, 3), keepdim=True)
    variance = (x * x).mean((1, 2, 3), keepdim=True) - mean * mean
    scale = torch.rsqrt(variance.clamp(min=0) + EPS) * gamma.view(1, -1, 1, 1)
    return x * scale + (beta.view(1, -1, 1, 1) - mean * scale)


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


def _merge_in_place(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    fine[..., ::2] += coarse
    fine[..., 1::2] += coarse[..., : fine.shape[-1] // 2]
    return fine
