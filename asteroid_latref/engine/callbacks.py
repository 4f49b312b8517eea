"""What happens around an epoch: learning rate, record of the losses, a stop when they blow up."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning import Callback, LightningModule, Trainer

from ..errors import LatrefError
from ..files import atomic_path


class EpochDecay(Callback):
    """Divides the learning rate every so many epochs (LIR §3.1), as a function of the epoch alone.

    Lightning saves its checkpoint before it moves the schedulers on, so a scheduler with a state of
    its own would be one epoch late after resuming.

    Args:
        lr: learning rate of epoch 0.
        divisor: what it is divided by.
        every: epochs between two divisions.

    Examples:
        >>> [EpochDecay(0.9, divisor=3, every=2).at(epoch) for epoch in range(5)]
        [0.9, 0.9, 0.3, 0.3, 0.1]
    """

    def __init__(self, lr: float, divisor: float, every: int) -> None:
        if lr <= 0 or divisor <= 0 or every < 1:
            raise LatrefError(
                f"lr={lr}, lr_divisor={divisor}, lr_every={every}: must all be positive"
            )
        self.lr, self.divisor, self.every = lr, divisor, every

    def at(self, epoch: int) -> float:
        """Learning rate of ``epoch`` (from 0)."""
        return float(f"{self.lr / self.divisor ** (epoch // self.every):.12g}")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sets the learning rate of the epoch that starts, times a group's own ``lr_scale``."""
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.at(trainer.current_epoch) * group.get("lr_scale", 1.0)


class LossHistory(Callback):
    """Keeps one row per epoch in a CSV file, through any number of kills and resumes.

    Its state is in the checkpoint: rows of epochs that were lost are forgotten with them.

    Args:
        path: the CSV file: ``epoch`` (from 1), ``lr``, ``loss``, ``val_loss`` (dB), and whatever
            else the system logs per epoch.

    Raises:
        LatrefError: a loss is not finite.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the row of the epoch that ended."""
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1}
        row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        for name in ("loss", "val_loss"):
            row[name] = float(trainer.callback_metrics[name])
            if not math.isfinite(row[name]):
                raise LatrefError(
                    f"{name} of epoch {row['epoch']} is {row[name]}: training diverged; lower --lr"
                )
        others = {k: float(v) for k, v in trainer.callback_metrics.items() if k not in row}
        self.rows.append(row | others)
        if trainer.is_global_zero:
            with atomic_path(self.path) as tmp:
                pd.DataFrame(self.rows).to_csv(tmp, index=False)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the rows of a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]
