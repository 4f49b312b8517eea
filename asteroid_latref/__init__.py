"""Iterated, growing, cuttable and gated latent refinement models for Asteroid."""

from asteroid_latref import compat
from asteroid_latref._version import __version__

compat.apply()

__all__ = ["__version__"]
