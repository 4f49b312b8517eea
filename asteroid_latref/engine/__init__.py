"""Training: configuration, loaders, systems, stages."""

from .conf import Conf, load_conf
from .gated import GatedSystem, train_gated
from .progressive import JointExitSystem, ProgressiveSystem
from .stages import train_progressive
from .system import System
from .train import make_datasets, make_system, train_stage

__all__ = [
    "Conf",
    "GatedSystem",
    "JointExitSystem",
    "ProgressiveSystem",
    "System",
    "load_conf",
    "make_datasets",
    "make_system",
    "train_gated",
    "train_progressive",
    "train_stage",
]
