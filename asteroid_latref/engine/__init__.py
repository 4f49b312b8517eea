"""Training: configuration, loaders, systems, stages."""

from .conf import Conf, load_conf
from .progressive import JointExitSystem, ProgressiveSystem
from .stages import train_progressive
from .system import System
from .train import make_datasets, make_system, train_stage

__all__ = [
    "Conf",
    "JointExitSystem",
    "ProgressiveSystem",
    "System",
    "load_conf",
    "make_datasets",
    "make_system",
    "train_progressive",
    "train_stage",
]
