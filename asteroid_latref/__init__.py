"""One separation network, many operating points: iterated, grown, cut and gated, for Asteroid."""

from . import compat
from ._version import __version__

compat.apply()  # before any import of asteroid: see compat.py for what it repairs

from .models import (  # noqa: E402
    BloomConvTasNet,
    BloomDPRNN,
    BloomSepformer,
    GatedSudoRmRf,
    IterSudoRmRf,
)
from .models.registry import register, serve_operating_points  # noqa: E402

register(IterSudoRmRf, BloomConvTasNet, BloomDPRNN, BloomSepformer, GatedSudoRmRf)
serve_operating_points()

__all__ = [
    "BloomConvTasNet",
    "BloomDPRNN",
    "BloomSepformer",
    "GatedSudoRmRf",
    "IterSudoRmRf",
    "__version__",
]
