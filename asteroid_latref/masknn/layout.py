"""How tensors lie in memory inside a block, and who may compute how.

Inside, a latent is ``(batch, channels, 1, frames)`` whose memory is ``(batch, frames, channels)``
(PyTorch's ``channels_last``): 1×1 convolutions are then plain matrix products and depthwise ones
run across channels, both without reordering memory, which takes as long as the work itself.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-8
ONE_BY_ONE = 2**20
"""Batches whose largest tensor has more elements than this are computed example by example."""

Geometry = tuple[int, int, int, int]
"""Stride, padding and dilation along the frames, and groups."""


def frames_last(x: torch.Tensor) -> torch.Tensor:
    """``(batch, channels, frames)`` to the layout of a block; a view if it is laid out so."""
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


def rows(x: torch.Tensor) -> torch.Tensor:
    """``(batch, channels, 1, frames)`` as ``(batch, frames, channels)``: no copy."""
    return x[:, :, 0].transpose(1, 2)


def follows_shapes() -> bool:
    """Whether somebody records the operations: no in-place work and no hand-made backward then."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def saves_by_hand(*tensors: torch.Tensor | None) -> bool:
    """Whether a gradient is wanted, and our own backward can be used for it."""
    wanted = any(t is not None and t.requires_grad for t in tensors)
    return wanted and torch.is_grad_enabled() and not follows_shapes()


def geometry_of(layer: nn.Conv1d) -> Geometry:
    """The geometry of a layer whose padding is a number."""
    return layer.stride[0], cast(int, layer.padding[0]), layer.dilation[0], layer.groups


def convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry
) -> torch.Tensor:
    """A convolution along the frames of ``(batch, channels, 1, frames)``."""
    stride, padding, dilation, groups = geometry
    # (out, in / groups, kernel) -> (out, kernel, 1, in / groups) -> (out, in / groups, 1, kernel):
    # the strides of a single example do not tell its layout, those of a 1×1 weight then do.
    weight = weight.transpose(1, 2).unsqueeze(2).transpose(1, 3)
    return F.conv2d(x, weight, bias, (1, stride), (0, padding), (1, dilation), groups)
