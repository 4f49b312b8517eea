"""Loaders whose order is a function of (seed, epoch) alone, on one device or many."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import LatrefError
from .conf import TrainingConf


class EpochSampler(Sampler[int]):
    """Order of the items, and the epoch they are drawn for, from ``(seed, epoch)``.

    Tells the data set the epoch too, so that random crops depend on it and on nothing else. Under
    distributed training each process gets every n-th item of one common order, padded with the
    first items to equal lengths. Asking for the process group only when iterated makes it
    independent of when that group is set up.

    Args:
        dataset: with ``set_epoch``, or without random choices.
        seed: of the order.
        shuffle: else the items come in their own order.

    Examples:
        >>> sampler = EpochSampler(list(range(5)), seed=0)
        >>> first = list(sampler)
        >>> sampler.set_epoch(1)
        >>> sorted(sampler) == sorted(first), list(sampler) == first
        (True, False)
    """

    def __init__(self, dataset: Dataset, seed: int, shuffle: bool = True) -> None:
        self.dataset = dataset
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch
        if self.shuffle and hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.dataset) // _world()[1])  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        rank, world = _world()
        n_items = len(self.dataset)  # type: ignore[arg-type]
        order = list(range(n_items))
        if self.shuffle:
            generator = torch.Generator().manual_seed(step_seed(self.seed, self.epoch))
            order = torch.randperm(n_items, generator=generator).tolist()
        total = len(self) * world
        order = (order * -(-total // n_items))[:total]
        return iter(order[rank::world])


def make_loaders(
    train_set: Dataset, valid_set: Dataset, training: TrainingConf
) -> tuple[DataLoader, DataLoader]:
    """Training and validation loaders.

    Raises:
        LatrefError: a set is empty.
    """
    for name, dataset in (("training", train_set), ("validation", valid_set)):
        if len(dataset) == 0:  # type: ignore[arg-type]
            raise LatrefError(f"the {name} set has no items; check the manifests (stage 2)")
    sampler = EpochSampler(train_set, training.seed)
    common: dict[str, Any] = {
        "batch_size": training.batch_size,
        "num_workers": training.num_workers,
    }
    # An incomplete last batch would be remixed among fewer examples; a tiny set has nothing else.
    drop_last = len(sampler) >= training.batch_size
    train = DataLoader(train_set, sampler=sampler, drop_last=drop_last, **common)
    valid = DataLoader(valid_set, sampler=EpochSampler(valid_set, 0, shuffle=False), **common)
    return train, valid


def step_seed(*parts: int) -> int:
    """One seed out of several numbers (seed, epoch, batch, rank): unrelated for any change.

    Examples:
        >>> step_seed(0, 1) == step_seed(0, 1), step_seed(0, 1) == step_seed(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _world() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
