"""Models: encoder, refined mask network, decoders; grown, cut, saved and loaded."""

from .base import LatentRefinementModel
from .sudormrf import IterSudoRmRf

__all__ = ["IterSudoRmRf", "LatentRefinementModel"]
