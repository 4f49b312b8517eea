"""The base of every training system: remixed batches, one loss, no hidden state."""

from typing import Any

import torch
from asteroid.engine.system import System as AsteroidSystem
from torch import Tensor

from ..data.remix import remix
from .augment import augment
from .loaders import step_seed


class System(AsteroidSystem):
    """Asteroid's System with online remixing and training steps that repeat exactly.

    Everything random in a step (remixing, and whatever a model draws in training mode) is seeded
    by ``(seed, epoch, batch, rank)``, so that a resumed run takes the steps an uninterrupted one
    takes. Works without a logger.

    A subclass overrides :meth:`estimates` and :meth:`loss`, or :meth:`parameters_to_train`.

    Args:
        model: the network.
        optimizer: see Asteroid's System.
        loss_func: ``(est, targets) -> scalar``.
        train_loader: batches ``(mixture (batch, time), targets (batch, n_slots, time))``.
        val_loader: the same.
        scheduler: see Asteroid's System.
        config: plain values, kept in the checkpoints.
        seed: of the random choices in a step.
        remix: shuffle the sources of each training batch into new mixtures.
        vary_speed: see :func:`~asteroid_latref.engine.augment.augment`; 0: as recorded.
        vary_colour: the same, in dB.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_func: torch.nn.Module,
        train_loader: Any,
        val_loader: Any = None,
        scheduler: Any = None,
        config: dict[str, Any] | None = None,
        *,
        seed: int = 0,
        remix: bool = True,
        vary_speed: float = 0.0,
        vary_colour: float = 0.0,
    ) -> None:
        super().__init__(model, optimizer, loss_func, train_loader, val_loader, scheduler, config)
        self.seed = seed
        self.remix = remix
        self.vary_speed, self.vary_colour = vary_speed, vary_colour

    def estimates(self, mixture: Tensor) -> Any:
        """What the loss is computed on; here the waveforms ``(batch, n_src, time)``."""
        return self.model(mixture)

    def loss(self, est: Any, targets: Tensor) -> Tensor:
        """Scalar loss of what :meth:`estimates` returned."""
        return self.loss_func(est, targets)

    def common_step(self, batch: Any, batch_nb: int, train: bool = True) -> Tensor:
        """Loss of one batch, remixed and varied first in training."""
        mixture, targets = batch
        generator = torch.Generator().manual_seed(self._step_seed(batch_nb))
        if train and self.remix:
            mixture, targets = remix(targets, generator)
        if train and (self.vary_speed or self.vary_colour):
            targets = augment(targets, generator, self.vary_speed, self.vary_colour)
            mixture = targets.sum(1)
        return self.loss(self.estimates(mixture), targets)

    def training_step(self, batch: Any, batch_nb: int) -> Tensor:
        """One remixed batch; logs its loss as ``loss``, the mean of an epoch."""
        # Models may draw from the global generator too (gates do).
        torch.manual_seed(self._step_seed(batch_nb))
        loss = self.common_step(batch, batch_nb, train=True)
        options: dict[str, Any] = {"on_step": False, "on_epoch": True, "prog_bar": True}
        self.log("loss", loss, batch_size=len(batch[0]), sync_dist=True, **options)
        return loss

    def validation_step(self, batch: Any, batch_nb: int) -> None:
        """One batch as it is; logs its loss as ``val_loss``, the mean over the set."""
        loss = self.common_step(batch, batch_nb, train=False)
        options: dict[str, Any] = {"on_epoch": True, "prog_bar": True}
        self.log("val_loss", loss, batch_size=len(batch[0]), sync_dist=True, **options)

    def on_validation_epoch_end(self) -> None:
        """Nothing: Asteroid's version needs a logger."""

    def train_dataloader(self) -> Any:
        """The training loader, told the epoch to start with.

        On resuming, Lightning starts the workers before it tells the sampler the epoch, and counts
        the epoch of the checkpoint as processed but not yet as completed (``current_epoch``).
        """
        set_epoch = getattr(getattr(self.train_loader, "sampler", None), "set_epoch", None)
        if callable(set_epoch):
            set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
        return self.train_loader

    def _step_seed(self, batch_nb: int) -> int:
        return step_seed(self.seed, self.current_epoch, batch_nb, self.global_rank)
