"""One separation network, many operating points: iterated, grown, cut and gated, for Asteroid."""

from . import compat
from ._version import __version__

compat.apply()  # before any import of asteroid: see compat.py for what it repairs

from .models import IterSudoRmRf  # noqa: E402
from .models.registry import register  # noqa: E402

register(IterSudoRmRf)

__all__ = ["IterSudoRmRf", "__version__"]
