"""Training of one stage: from a configuration to the best model, through any number of kills."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from asteroid.engine.optimizers import make_optimizer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from ..data.dynamic import DynamicMixtures
from ..data.wham import WhamDataset
from ..errors import LatrefError
from ..experiment import BEST_MODEL, HISTORY
from ..losses import SlotPITLoss
from .callbacks import EpochDecay, LossHistory
from .checkpoint import (
    AtomicCheckpointIO,
    load_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from .conf import Conf, OptimConf, TrainingConf
from .loaders import make_loaders
from .progress import OneLineBar
from .system import System

CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"
BEST = "best.ckpt"
TrainSet = WhamDataset | DynamicMixtures


def make_datasets(conf: Conf) -> tuple[TrainSet, WhamDataset]:
    """Training and validation sets of a configuration.

    Raises:
        LatrefError: ``train_dir`` or ``valid_dir`` is not set, or holds no usable manifests.
    """
    data, seed = conf.data, conf.training.seed
    for key in ("train_dir", "valid_dir"):
        if getattr(data, key) is None:
            raise LatrefError(f"{conf.path}: data.{key} is not set; give --{key} DIR (stage 2)")
    train_dir, valid_dir = str(data.train_dir), str(data.valid_dir)
    rest = (data.sample_rate, data.segment, seed)
    valid = WhamDataset(valid_dir, data.task, *rest)
    if data.n_mixtures:
        return DynamicMixtures(train_dir, data.task, data.n_mixtures, *rest), valid
    return WhamDataset(train_dir, data.task, *rest), valid


def make_system(
    model: torch.nn.Module,
    conf: Conf,
    datasets: tuple[TrainSet, WhamDataset],
    system_class: type[System] = System,
    **options: Any,
) -> System:
    """A system that trains the parameters of ``model`` that require a gradient.

    Args:
        model: the network.
        conf: the whole configuration.
        datasets: training and validation set (:func:`make_datasets`).
        system_class: :class:`System` or a subclass.
        **options: what the subclass takes beyond :class:`System`.
    """
    train_loader, valid_loader = make_loaders(*datasets, conf.training)
    return system_class(
        model,
        _optimizer(model, conf.optim, conf.path),
        SlotPITLoss(datasets[0].n_speech),
        train_loader,
        valid_loader,
        config=conf.as_dict(),
        seed=conf.training.seed,
        remix=conf.training.remix,
        vary_speed=conf.training.vary_speed,
        vary_colour=conf.training.vary_colour,
        **options,
    )


def train_stage(
    system: System,
    optim: OptimConf,
    training: TrainingConf,
    exp_dir: str | Path,
    resume: bool = False,
    callbacks: Sequence[pl.Callback] = (),
) -> torch.nn.Module:
    """Trains until ``training.epochs`` and returns the model with the lowest validation loss.

    Leaves in ``exp_dir``: ``checkpoints/{last,best}.ckpt``, ``history.csv`` (a row per epoch),
    ``lightning_logs/`` and ``best_model.pth``, for ``from_pretrained``.

    Args:
        system: what to train (:func:`make_system`).
        optim: learning rate and its decay; epochs count from the beginning of this stage.
        training: see :class:`TrainingConf`.
        exp_dir: folder of this stage alone.
        resume: continue from ``checkpoints/last.ckpt``; without that file, begin.
        callbacks: further Lightning callbacks.

    Raises:
        LatrefError: ``last.ckpt`` is damaged or of another configuration; the loss is not finite;
            Lightning refuses the device options.
    """
    exp_dir = Path(exp_dir)
    last = exp_dir / CHECKPOINTS / LAST
    resumed = resume and last.exists()
    if resumed:
        check_same_experiment(last, load_checkpoint(last)["training_config"], system.config)
    trainer = _trainer(training, exp_dir, [EpochDecay(optim.lr, optim.lr_divisor, optim.lr_every)])
    trainer.callbacks += list(callbacks)
    if trainer.is_global_zero:
        remove_leftovers(last.parent)
    with warnings.catch_warnings():
        _silence_known_warnings()
        trainer.fit(system, ckpt_path=str(last) if resumed else None)
    best = load_checkpoint(exp_dir / CHECKPOINTS / BEST)["state_dict"]
    prefix = "model."
    weights = {k[len(prefix) :]: v for k, v in best.items() if k.startswith(prefix)}
    model = system.model.cpu().eval()
    model.load_state_dict(weights)
    if trainer.is_global_zero:
        save_model(model, exp_dir / BEST_MODEL, system.train_loader.dataset)
    trainer.strategy.barrier()
    return model


def save_model(
    model: Any, path: str | Path, dataset: Any = None, licenses: Sequence[dict[str, Any]] = ()
) -> None:
    """Writes ``model.serialize()`` and what its data was (``get_infos``), whole or not at all.

    ``licenses`` are those of what else the weights come from; they are added to the data's own.
    """
    infos = dataset.get_infos() if hasattr(dataset, "get_infos") else {}
    own = infos.get("licenses", [])
    more = [credit for credit in licenses if credit not in own]
    if more:
        infos["licenses"] = [*own, *more]
    write_checkpoint({**model.serialize(), **infos}, path)


def check_same_experiment(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuses to continue a training with other settings than it began with.

    Epochs, time limits, loader processes, devices and the place of the data may change.
    """
    free = {"train_dir", "valid_dir", "epochs", "max_time", "num_workers"}
    free |= {"accelerator", "devices", "num_nodes", "strategy", "precision"}
    free |= {"finetune_epochs", "finetune_lr"}  # come after what is compared
    for section, values in now.items():
        old = before.get(section, {})
        for key in {*values, *old} - free:
            if _plain(values.get(key)) != _plain(old.get(key)):
                raise LatrefError(
                    f"{path}: was trained with {section}.{key}={old.get(key)!r}, now it is"
                    f" {values.get(key)!r}; resume with the old value or begin another experiment"
                )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _optimizer(model: torch.nn.Module, optim: OptimConf, path: str) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    settings = {k: v for k, v in asdict(optim).items() if k in ("lr", "weight_decay")}
    try:
        return make_optimizer(parameters, optimizer=optim.optimizer, **settings)
    except (ValueError, TypeError) as err:
        raise LatrefError(f"{path}: section optim: {' '.join(str(err).split())}") from err


def _trainer(training: TrainingConf, exp_dir: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    # Lightning's `save_last` only follows the best one, so the last gets a callback of its own.
    checkpoints = [
        ModelCheckpoint(
            dirpath=exp_dir / CHECKPOINTS,
            filename=Path(name).stem,
            monitor=monitor,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        for name, monitor in ((BEST, "val_loss"), (LAST, None))
    ]
    bar = OneLineBar(refresh_rate=10)
    strategy = training.strategy
    if strategy in ("auto", "ddp") and (training.devices, training.num_nodes) != (1, 1):
        # Exits that are not trained, and gates that stop, leave parameters without a gradient.
        strategy = "ddp_find_unused_parameters_true"
    try:
        return pl.Trainer(
            max_epochs=training.epochs,
            max_time=training.max_time,
            accelerator=training.accelerator,
            devices=training.devices,
            num_nodes=training.num_nodes,
            strategy=strategy,
            precision=training.precision,
            gradient_clip_val=training.gradient_clip,
            callbacks=[*callbacks, LossHistory(exp_dir / HISTORY), *checkpoints, bar],
            plugins=[AtomicCheckpointIO()],
            logger=CSVLogger(exp_dir, name="lightning_logs"),
            default_root_dir=exp_dir,
            deterministic="warn",
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
    except (ValueError, TypeError, pl.utilities.exceptions.MisconfigurationException) as err:
        raise LatrefError(f"section training: {' '.join(str(err).split())}") from err


def _silence_known_warnings() -> None:
    known = (
        "does not have many workers",
        "find_unused_parameters=True",
        "in eval mode at the start",
        "exists and is not empty",
    )
    for message in known:
        warnings.filterwarnings("ignore", message=f".*{message}.*")
