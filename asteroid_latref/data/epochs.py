"""Data sets whose random choices depend on the epoch."""

import torch
from torch.utils.data import Dataset


class EpochDataset(Dataset):
    """A data set that knows the epoch, in workers that outlive one as well."""

    def __init__(self) -> None:
        # In shared memory, so that running workers see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch the items are drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the items of this epoch, in workers that already run as well."""
        self._epoch.fill_(epoch)
