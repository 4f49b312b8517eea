"""One separation network, many operating points: iterated, grown, cut and gated, for Asteroid."""

from typing import Any

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
    "GatedSystem",
    "IterSudoRmRf",
    "JointExitSystem",
    "ProgressiveSystem",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Systems need Lightning, which takes seconds to import and is not needed to run a model.
    if name.endswith("System") and name in __all__:
        from . import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
