"""Training: configuration, loaders, systems, stages."""

from .conf import Conf, load_conf
from .system import System
from .train import make_datasets, make_system, train_stage

__all__ = ["Conf", "System", "load_conf", "make_datasets", "make_system", "train_stage"]
