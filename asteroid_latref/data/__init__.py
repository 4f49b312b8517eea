"""Recordings in, batches out: corpora in WHAM!'s layout, their datasets, online remixing."""

from .remix import remix
from .wham import TASKS, Task, WhamDataset

__all__ = ["TASKS", "Task", "WhamDataset", "remix"]
