"""Training with a gate: first the iterations alone, then gate and network together."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from ..errors import LatrefError
from ..files import atomic_path
from ..losses import SlotPITLoss
from ..models import GatedSudoRmRf, LatentRefinementModel
from .conf import Conf, register_section
from .experiment import register_runner
from .gate_start import fit_gate
from .loaders import step_seed
from .system import System
from .train import BEST_MODEL, HISTORY, make_system, train_stage

PRETRAINED = "pretrained"
JOINT = "joint"


@dataclass(frozen=True)
class GateConf:
    """Section ``gate``: the second phase, in which the gate learns.

    ``training.epochs`` are those of both phases.

    Attributes:
        penalty: weight of the mean number of steps in the loss, in dB per step: a step that gains
            less than this is not worth it.
        epochs: the last epochs, with the gate.
        lr: learning rate of the first of them.
        lr_divisor: the learning rate is divided by this every ``lr_every`` epochs.
        lr_every: epochs between two divisions.
        gate_lr: learning rate of the gate itself, divided alongside. Every frame has a weight of
            its own in the gate and they all pull together, so it must be far below the network's.
        start_margin: logit of "refine" that the gate starts with; 2 refines with a chance of 0.88.
        start_items: training items to fit the gate's start to instead, see
            :func:`~asteroid_latref.engine.gate_start.fit_gate`; 0: none.
        baselines: models without a gate to train alongside, each for as many epochs in all: their
            numbers of iterations.
    """

    penalty: float
    epochs: int
    lr: float
    lr_divisor: float
    lr_every: int
    gate_lr: float
    start_margin: float = 0.0
    start_items: int = 0
    baselines: list = ()  # type: ignore[assignment]


register_section("gate", GateConf)


class GatedSystem(System):
    """Trains gate and network together: separation loss plus a price on every step.

    Logs, besides the losses, the mean number of steps of each epoch: ``steps`` of the drawn gate in
    training, ``val_steps`` of the one that decides in use.

    Args:
        model: with ``separate_with_steps``.
        optimizer: one group of parameters; the gate's get a group of their own.
        *args: see :class:`System`.
        penalty: weight of the mean number of steps n̂, in dB per step.
        gate_lr_scale: learning rate of the gate, as a fraction of the network's.
        **kwargs: see :class:`System`.

    Reference:
        LIR §2.3, Eq. 12.
    """

    def __init__(
        self,
        model: GatedSudoRmRf,
        optimizer: torch.optim.Optimizer,
        *args: Any,
        penalty: float = 0.0,
        gate_lr_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        _regroup(optimizer, model.masker.gate, gate_lr_scale)
        super().__init__(model, optimizer, *args, **kwargs)
        self.penalty = penalty

    def estimates(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms ``(batch, n_src, time)`` and steps ``(batch,)``."""
        return self.model.separate_with_steps(mixture)

    def loss(self, est: Any, targets: Tensor) -> Tensor:
        """Separation loss plus ``penalty`` times the mean number of steps."""
        waveforms, n_steps = est
        mean_steps = n_steps.mean()
        name = "steps" if self.training else "val_steps"
        options: dict[str, Any] = {"on_step": False, "on_epoch": True, "sync_dist": True}
        self.log(name, mean_steps.detach(), batch_size=len(n_steps), **options)
        return self.loss_func(waveforms, targets) + self.penalty * mean_steps


def train_gated(
    model: LatentRefinementModel, conf: Conf, datasets: Any, exp_dir: Path, resume: bool = True
) -> LatentRefinementModel:
    """Trains the iterations without the gate, then both together; then the baselines.

    The phases live in ``exp_dir/pretrained`` and ``exp_dir/joint``, each as
    :func:`~asteroid_latref.engine.train.train_stage` leaves it. A baseline of ``n`` iterations
    lives in ``exp_dir/fixed{n}`` and takes the same two phases without a gate; with as many
    iterations as the gate may take, its first phase is the gated model's. What is finished is kept
    and what was interrupted is continued.

    Args:
        model: fresh.
        conf: configuration with a section ``gate``.
        datasets: training and validation set.
        exp_dir: folder of the experiment.
        resume: here for the runner's signature; phases always go on where they were.

    Returns:
        The gated model.

    Raises:
        LatrefError: the model has no gate; too few epochs; a damaged checkpoint.

    Reference:
        LIR §3.2: 180 epochs without the gate, then 20 with it.
    """
    gate: GateConf = conf.extra["gate"]
    if not isinstance(model, GatedSudoRmRf):
        raise LatrefError(f"{conf.path}: section gate needs a GatedSudoRmRf in section model")
    if not 0 < gate.epochs < conf.training.epochs:
        raise LatrefError(
            f"{conf.path}: gate.epochs is {gate.epochs}, must be 1 to {conf.training.epochs - 1}"
            " (training.epochs are those of both phases)"
        )
    first, second = _phase_confs(conf, gate)
    exp_dir = Path(exp_dir)
    fresh = copy.deepcopy(model)
    plain = _phase(fresh.ungated(), first, datasets, exp_dir / PRETRAINED)
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    model.masker.gate.start_at(gate.start_margin)
    if gate.start_items:
        train_set = datasets[0]
        loss_func = SlotPITLoss(train_set.n_speech)
        fit_gate(model, train_set, loss_func, gate.penalty, gate.start_items)
    options = {"penalty": gate.penalty, "gate_lr_scale": gate.gate_lr / gate.lr}
    gated = _phase(model, second, datasets, exp_dir / JOINT, GatedSystem, **options)
    _join_histories(exp_dir)
    train_baselines(fresh, conf, datasets, exp_dir)
    return gated


def train_baselines(
    fresh: GatedSudoRmRf, conf: Conf, datasets: Sequence[Any], exp_dir: str | Path
) -> None:
    """Trains the models without a gate that ``gate.baselines`` names, see :func:`train_gated`.

    Args:
        fresh: the gated model as it was initialised.
        conf: configuration with a section ``gate``.
        datasets: training and validation set.
        exp_dir: folder of the experiment.
    """
    gate: GateConf = conf.extra["gate"]
    first, second = _phase_confs(conf, gate)
    for n_iters in gate.baselines:
        folder = Path(exp_dir) / f"fixed{n_iters}"
        shared = (n_iters,) * fresh.n_blocks == fresh.n_iters
        begun = (Path(exp_dir) if shared else folder) / PRETRAINED
        plain = _phase(fresh.ungated(n_iters), first, datasets, begun)
        _phase(plain, second, datasets, folder / JOINT)


register_runner("gate", train_gated)


def _phase_confs(conf: Conf, gate: GateConf) -> tuple[Conf, Conf]:
    """The configurations of the two phases, alike but for epochs, learning rate and seed."""
    training, seed = conf.training, conf.training.seed
    first = replace(conf, training=replace(training, epochs=training.epochs - gate.epochs))
    optim = replace(conf.optim, lr=gate.lr, lr_divisor=gate.lr_divisor, lr_every=gate.lr_every)
    training = replace(training, epochs=gate.epochs, seed=step_seed(seed, 2))
    return first, replace(conf, optim=optim, training=training)


def _phase(
    model: Any,
    conf: Conf,
    datasets: Sequence[Any],
    folder: Path,
    system_class: type[System] = System,
    **options: Any,
) -> Any:
    """The model of one phase: read if the phase is finished, else trained (further)."""
    say = rank_zero_only(print)
    if (folder / BEST_MODEL).exists():
        done = LatentRefinementModel.from_pretrained(str(folder / BEST_MODEL))
        if done.get_model_args() != model.get_model_args():
            raise LatrefError(f"{folder}: holds another model; remove the folder to train anew")
        say(f"{folder}: trained already", flush=True)
        return done
    say(f"{folder}: {type(model).__name__}, {conf.training.epochs} epochs", flush=True)
    data = [copy.copy(dataset) for dataset in datasets]
    for dataset in data:  # no phase repeats the crops of another
        dataset.seed = conf.training.seed
    # What a phase returns is in eval mode, and Lightning leaves it there.
    system = make_system(model.train(), conf, (data[0], data[1]), system_class, **options)
    return train_stage(system, conf.optim, conf.training, folder, resume=True)


@rank_zero_only
def _join_histories(exp_dir: Path) -> None:
    """``history.csv`` of the experiment: that of the first phase, then that of the second."""
    rows = pd.DataFrame()
    for phase in (PRETRAINED, JOINT):
        if (exp_dir / phase / HISTORY).exists():
            more = pd.read_csv(exp_dir / phase / HISTORY).assign(phase=phase)
            more["epoch"] += len(rows)
            rows = pd.concat([rows, more])
    with atomic_path(exp_dir / HISTORY) as tmp:
        rows.to_csv(tmp, index=False)


def _regroup(optimizer: torch.optim.Optimizer, gate: torch.nn.Module, scale: float) -> None:
    """Moves the gate's parameters to a group with its own learning rate."""
    own = {id(p) for p in gate.parameters()}
    (group,) = optimizer.param_groups
    parameters = group["params"]
    group["params"] = [p for p in parameters if id(p) not in own]
    moved = [p for p in parameters if id(p) in own]
    optimizer.add_param_group({"params": moved, "lr": group["lr"] * scale, "lr_scale": scale})
