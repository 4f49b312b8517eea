"""Exits: what turns the latent behind a block into masks, and masked features into sound."""

from typing import Any, cast

import torch
from asteroid.masknn import activations
from asteroid.utils import has_arg
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .functional import conv
from .layout import follows_shapes, frames_last, saves_by_hand


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
        act, projection = self.net
        scores = conv(act(frames_last(latent)), cast(nn.Conv1d, projection))
        in_place = isinstance(self.act, nn.ReLU) and not follows_shapes()
        if in_place:
            scores.relu_()  # the scores themselves are not needed again
        # (batch, n_src * n_filters, 1, frames) -> (batch, n_src, n_filters, frames)
        scores = scores.squeeze(2).unflatten(1, (self.n_src, self.n_filters))
        return scores if in_place else self.act(scores)


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
        self.stride, self.padding, self.joint = stride, padding, joint
        n_in, n_out = (n_src * n_filters, n_src) if joint else (n_filters, 1)
        self.weight = nn.Parameter(torch.empty(n_in, n_out, kernel_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, masked: torch.Tensor) -> torch.Tensor:
        """Waveforms of ``masked``."""
        return self._from_pieces(synthesis_product(masked, self.weight, self.joint))

    def decode_masked(self, masks: torch.Tensor, tf_rep: torch.Tensor) -> torch.Tensor:
        """Waveforms of ``masks`` times features; in inference ``masks`` are overwritten.

        Args:
            masks: ``(batch, n_src, n_filters, frames)``.
            tf_rep: ``(batch, n_filters, frames)``.
        """
        if saves_by_hand(masks, tf_rep, self.weight):
            return self._from_pieces(MaskedProduct.apply(masks, tf_rep, self.weight, self.joint))
        if not follows_shapes():
            return self(masks.mul_(tf_rep.unsqueeze(1)))
        # A compiler lays the product out as it is written: here as the convolution wants it.
        if self.joint:  # (batch, n_src * n_filters, 1, frames)
            features = tf_rep.unsqueeze(2).repeat(1, masks.shape[1], 1, 1)
        else:  # (batch, n_filters, frames, 1)
            features = tf_rep.unsqueeze(-1)
        masked = arranged(masks, self.joint) * features
        return self._from_pieces(convolved(masked, self.weight, self.joint))

    def _from_pieces(self, pieces: torch.Tensor) -> torch.Tensor:
        # (batch, n_src, kernel_size, frames) -> (batch, n_src, time)
        return overlap_add(pieces, self.stride)[..., self.padding :]


class MaskedProduct(torch.autograd.Function):
    """:func:`synthesis_product` of masks times features, saving those two but not their product."""

    @staticmethod
    def forward(
        ctx: Any, masks: torch.Tensor, tf_rep: torch.Tensor, weight: torch.Tensor, joint: bool
    ) -> torch.Tensor:
        """Saves its arguments."""
        ctx.save_for_backward(masks, tf_rep, weight)
        ctx.joint = joint
        return synthesis_product(masks * tf_rep.unsqueeze(1), weight, joint)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Multiplies again, and goes back through the product and the multiplication."""
        masks, tf_rep, weight = ctx.saved_tensors
        features = tf_rep.unsqueeze(1)
        with torch.enable_grad():
            masked = (masks * features).to(grad.dtype).requires_grad_()
            leaf = weight.detach().to(grad.dtype).requires_grad_()
            pieces = synthesis_product(masked, leaf, ctx.joint)
        grad_masked, grad_weight = torch.autograd.grad(pieces, [masked, leaf], grad)
        grad_tf_rep = None
        if ctx.needs_input_grad[1]:
            grad_tf_rep = grad_masked[:, 0] * masks[:, 0]
            for slot in range(1, masks.shape[1]):  # a sum over slots is six times as slow
                grad_tf_rep.addcmul_(grad_masked[:, slot], masks[:, slot])
        return grad_masked.mul_(features), grad_tf_rep, grad_weight.to(weight.dtype), None


def synthesis_product(masked: torch.Tensor, weight: torch.Tensor, joint: bool) -> torch.Tensor:
    """What each frame adds to the waveforms, before frames are added at their place.

    Args:
        masked: ``(batch, n_src, n_filters, frames)``.
        weight: ``(n_src * n_filters, n_src, kernel_size)`` (joint) or ``(n_filters, 1,
            kernel_size)`` (one filterbank for all slots).
        joint: which of the two.

    Returns:
        ``(batch, n_src, kernel_size, frames)``.
    """
    return convolved(arranged(masked, joint), weight, joint)


def arranged(masked: torch.Tensor, joint: bool) -> torch.Tensor:
    """``(batch, n_src, n_filters, frames)`` with what a filter reads in the second dimension."""
    if joint:
        return masked.flatten(1, 2).unsqueeze(2)  # (batch, n_src * n_filters, 1, frames)
    return masked.permute(0, 2, 3, 1)  # (batch, n_filters, frames, n_src)


def convolved(masked: torch.Tensor, weight: torch.Tensor, joint: bool) -> torch.Tensor:
    """The product of :func:`synthesis_product`, of :func:`arranged` masked features."""
    n_in, n_out, kernel_size = weight.shape
    # (n_in, n_out, kernel_size) -> (n_out * kernel_size, n_in, 1, 1), laid out by columns: the
    # strides of a single example do not tell its layout, so those of the weight have to.
    product = weight.permute(1, 2, 0).contiguous().view(-1, 1, 1, n_in).permute(0, 3, 1, 2)
    pieces = F.conv2d(masked, product)
    if joint:
        # (batch, n_src * kernel_size, 1, frames) -> (batch, n_src, kernel_size, frames)
        return pieces.squeeze(2).unflatten(1, (n_out, kernel_size))
    # (batch, kernel_size, frames, n_src) -> (batch, n_src, kernel_size, frames)
    return pieces.permute(0, 3, 1, 2)


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

    def decode_masked(
        self, masks: torch.Tensor, tf_rep: torch.Tensor, n_blocks: int
    ) -> torch.Tensor:
        """Waveforms of masks times features, see :meth:`OverlapAddDecoder.decode_masked`."""
        decoder = cast(OverlapAddDecoder, self[str(n_blocks)])
        return decoder.decode_masked(masks, tf_rep)
