"""Base of every model here: encoder → refinement → exits, readable at any operating point."""

from collections.abc import Sequence
from typing import Any

import torch
from asteroid.models.base_models import (
    BaseEncoderMaskerDecoder,
    _shape_reconstructed,
    _unsqueeze_to_3d,
)
from asteroid.utils.torch_utils import (
    is_tracing,
    jitable_shape,
    pad_x_to_y,
    script_if_tracing,
)
from asteroid_filterbanks.free_fb import FreeFB
from torch import nn

from ..masknn.encoder import FrameEncoder
from ..masknn.exits import ExitDecoders
from ..masknn.layout import one_by_one
from ..masknn.refinement import LatentMasker
from .growth import Growing
from .operating import OperatingPoint, iterations, operating_points
from .serialization import Serializable


class LatentRefinementModel(Growing, Serializable, BaseEncoderMaskerDecoder):
    """Masking network whose latent is refined by a chain of blocks with exits between them.

    A family overrides the ``make_*`` hooks; growing, cutting, saving and running at an operating
    point come from here. Hooks read the constructor arguments from ``self.config``.

    Args:
        config: the constructor arguments of the family, as :func:`constructor_args` gives them.
            Read here: ``n_src``, ``n_blocks``, ``n_iters``, ``exits`` (``"last"``: one exit,
            behind the last block; ``"all"``: one behind every block), ``n_filters``,
            ``kernel_size``, ``stride``, ``sample_rate``, ``checkpoint_iters`` (optional).

    Raises:
        ValueError: a size that makes no model, or an unknown ``exits``.

    Shape:
        - Input: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``, at ``sample_rate`` Hz.
        - Output: ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

    Reference:
        LIR §2.1–2.2; BLOOM-Net §2.
    """

    encoder_padding: int = 0
    """Zeros that the encoder adds on both sides, in samples."""
    time_multiple: int = 1
    """Inputs are zero-padded on the right to a multiple of this many samples."""
    encoder_act: str | None = None
    """Activation behind the encoder, a name of ``asteroid.masknn.activations``."""
    iters_arg: str = "n_iters"
    """The constructor argument that holds the iteration counts."""

    def __init__(self, config: dict[str, Any]):
        for name in ("n_src", "n_blocks", "n_filters", "kernel_size", "stride"):
            if not isinstance(config[name], int) or config[name] < 1:
                raise ValueError(f"{name}={config[name]!r}: must be a whole number >= 1")
        if config["exits"] not in ("last", "all"):
            raise ValueError(f'exits={config["exits"]!r}: must be "last" or "all"')
        self.config = config  # before any module exists: the hooks read it
        self.n_src: int = config["n_src"]
        self.n_blocks: int = config["n_blocks"]
        self.n_iters = iterations(config[self.iters_arg], self.n_blocks)
        first_exit = 1 if config["exits"] == "all" else self.n_blocks
        self.exit_blocks = tuple(range(first_exit, self.n_blocks + 1))
        parts = (self.make_encoder(), self.make_masker(), self.make_exit_decoders())
        super().__init__(*parts, encoder_activation=self.encoder_act)

    # ---- hooks of a family -----------------------------------------------------------------
    def make_encoder(self) -> nn.Module:
        """Waveform ``(batch, 1, time)`` to features ``(batch, n_filters, frames)``."""
        c = self.config
        filterbank = FreeFB(c["n_filters"], c["kernel_size"], c["stride"], c["sample_rate"])
        return FrameEncoder(filterbank, padding=self.encoder_padding)

    def make_bottleneck(self) -> nn.Module:
        """Features ``(batch, n_filters, frames)`` to the first latent."""
        raise NotImplementedError

    def make_block(self) -> nn.Module:
        """One block: latent to latent of the same shape."""
        raise NotImplementedError

    def make_mask_net(self) -> nn.Module:
        """``(latent, n_frames)`` to masks ``(batch, n_src, n_filters, frames)``."""
        raise NotImplementedError

    def make_decoder(self) -> nn.Module:
        """Masked features ``(batch, n_src, n_filters, frames)`` to ``(batch, n_src, time)``."""
        raise NotImplementedError

    def make_masker(self) -> LatentMasker:
        """Assembles the masker's parts; override it for another way to refine."""
        return LatentMasker(**self.masker_parts())

    def masker_parts(self) -> dict[str, Any]:
        """Bottleneck, blocks and mask nets, as the arguments of :class:`LatentMasker`."""
        return {
            "bottleneck": self.make_bottleneck(),
            "blocks": [self.make_block() for _ in range(self.n_blocks)],
            "mask_nets": {k: self.make_mask_net() for k in self.exit_blocks},
            "checkpoint_iters": self.config.get("checkpoint_iters", False),
        }

    def make_exit_decoders(self) -> ExitDecoders:
        """One decoder per exit."""
        return ExitDecoders({str(k): self.make_decoder() for k in self.exit_blocks})

    # ---- running ---------------------------------------------------------------------------
    def forward(
        self,
        wav: torch.Tensor,
        n_blocks: int | None = None,
        n_iters: int | Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Separates ``wav`` at an operating point; work behind the chosen exit is not done.

        Args:
            wav: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``.
            n_blocks: blocks to run, one of ``exit_blocks``. Default: all.
            n_iters: iterations, for every block or per block. Default: as constructed.

        Returns:
            ``(n_src, time)`` for 1-D input, else ``(batch, n_src, time)``.

        Raises:
            ValueError: no exit behind ``n_blocks``, bad ``n_iters``, or more than one channel.
        """
        # Only torch.jit.trace needs the size as a tensor; torch.export cannot follow that.
        shape = jitable_shape(wav) if is_tracing() else wav.shape
        wav = self._as_batch(wav)
        n_blocks, counts = self.operating_point(n_blocks, n_iters)
        if self._one_by_one(wav):
            decoded = torch.cat([self._decoded(w, n_blocks, counts) for w in wav.split(1)])
        else:
            decoded = self._decoded(wav, n_blocks, counts)
        return _shape_reconstructed(pad_x_to_y(decoded, wav), shape)

    def forward_exits(
        self, wav: torch.Tensor, n_iters: int | Sequence[int] | None = None
    ) -> list[torch.Tensor]:
        """Estimates of every exit, in one pass: a list in the order of ``exit_blocks``.

        Args and shapes are those of :meth:`forward`.
        """
        shape, wav = wav.shape, self._as_batch(wav)
        counts = self.operating_point(None, n_iters)[1]
        if self._one_by_one(wav):
            parts = [self._decoded_exits(w, counts) for w in wav.split(1)]
            decoded = [torch.cat(examples) for examples in zip(*parts, strict=True)]
        else:
            decoded = self._decoded_exits(wav, counts)
        return [_shape_reconstructed(pad_x_to_y(wavs, wav), shape) for wavs in decoded]

    def forward_encoder(self, wav: torch.Tensor) -> torch.Tensor:
        """Features ``(batch, n_filters, frames)`` of ``wav``, ``(batch, 1, time)``."""
        return super().forward_encoder(
            _pad_time(wav, self.time_multiple, self.config["kernel_size"] - self.encoder_padding)
        )

    def forward_masker(self, tf_rep: torch.Tensor) -> torch.Tensor:
        """Masks of the last exit: ``(batch, n_src, n_filters, frames)``."""
        return self.masker(tf_rep, self.operating_point()[1])

    def forward_decoder(self, masked_tf_rep: torch.Tensor) -> torch.Tensor:
        """Waveforms ``(batch, n_src, time)`` of the last exit."""
        return self.decoder(masked_tf_rep, self.n_blocks)

    def operating_point(
        self, n_blocks: int | None = None, n_iters: int | Sequence[int] | None = None
    ) -> OperatingPoint:
        """Fills in defaults and checks: ``(blocks to run, iterations of each of them)``."""
        if n_blocks is None:
            n_blocks = self.n_blocks
        if n_blocks not in self.exit_blocks:
            raise ValueError(f"n_blocks={n_blocks!r}: exits are behind blocks {self.exit_blocks}")
        if n_iters is None:
            return n_blocks, self.n_iters[:n_blocks]
        return n_blocks, iterations(n_iters, n_blocks)

    def operating_points(self) -> list[OperatingPoint]:
        """Every ``(n_blocks, n_iters)`` on offer, cheapest first at each exit."""
        return operating_points(self.exit_blocks, self.n_iters)

    def get_model_args(self) -> dict[str, Any]:
        """The constructor arguments: also what a configuration file may name."""
        return dict(self.config)

    def _decoded(self, wav: torch.Tensor, n_blocks: int, counts: Sequence[int]) -> torch.Tensor:
        tf_rep = self.forward_encoder(wav)
        for behind in self.masker.latents(tf_rep, counts):
            _, latent = behind
        return self._exit(n_blocks, tf_rep, latent)

    def _decoded_exits(self, wav: torch.Tensor, counts: Sequence[int]) -> list[torch.Tensor]:
        tf_rep = self.forward_encoder(wav)
        latents = self.masker.latents(tf_rep, counts)
        return [self._exit(k, tf_rep, latent) for k, latent in latents if k in self.exit_blocks]

    def _exit(self, number: int, tf_rep: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """What the exit behind block ``number`` makes of its latent: ``(batch, n_src, time)``."""
        masks = self.masker.masks(number, latent, tf_rep.shape[-1])
        return self.decoder.decode_masked(masks, tf_rep, number)

    def _one_by_one(self, wav: torch.Tensor) -> bool:
        """Whether the masked features of the batch are too large to treat them at once."""
        frames = wav.numel() // self.config["stride"]
        return one_by_one(wav, self.n_src * self.config["n_filters"] * frames)

    def _as_batch(self, wav: torch.Tensor) -> torch.Tensor:
        if wav.ndim == 3 and int(wav.shape[1]) != 1:
            raise ValueError(f"expected (batch, 1, time), got {tuple(wav.shape)}: mix down first")
        return _unsqueeze_to_3d(wav)


def constructor_args(local_vars: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor, from ``locals()`` on its first line."""
    return {k: v for k, v in local_vars.items() if k not in ("self", "__class__")}


@script_if_tracing
def _pad_time(wav: torch.Tensor, multiple: int, least: int) -> torch.Tensor:
    """Zero-pads ``(batch, 1, time)`` on the right to a multiple, and to ``least`` samples."""
    time = wav.shape[-1]
    missing = max(least - time, 0)
    missing += (-(time + missing)) % multiple
    return torch.nn.functional.pad(wav, [0, missing])
