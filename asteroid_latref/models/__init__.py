"""Models: encoder, refined mask network, decoders; grown, cut, saved and loaded."""

from .base import LatentRefinementModel
from .bloom import BloomConvTasNet, BloomDPRNN, BloomSepformer
from .gated import GatedSudoRmRf
from .sudormrf import IterSudoRmRf

__all__ = [
    "BloomConvTasNet",
    "BloomDPRNN",
    "BloomSepformer",
    "GatedSudoRmRf",
    "IterSudoRmRf",
    "LatentRefinementModel",
]
