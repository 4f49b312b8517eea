"""Training in steps, one block at a time, each step in a folder of its own."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_only

from ..errors import LatrefError
from ..files import atomic_path
from ..models import LatentRefinementModel
from .conf import Conf, register_section
from .experiment import register_runner
from .loaders import step_seed
from .progressive import JointExitSystem, ProgressiveSystem
from .train import (
    BEST,
    BEST_MODEL,
    CHECKPOINTS,
    HISTORY,
    LAST,
    check_same_experiment,
    load_checkpoint,
    make_system,
    train_stage,
)

FINETUNE = "finetune"


@dataclass(frozen=True)
class ProgressiveConf:
    """Section ``progressive``: the blocks are trained one after the other.

    ``training.epochs`` are split evenly over the steps; ``training.max_time`` holds for each step.

    Attributes:
        warm_exits: a new exit starts as a copy of the one before it, not at random.
        finetune_epochs: epochs of training all exits together afterwards; 0: none.
        finetune_lr: learning rate of the first of them.
    """

    warm_exits: bool
    finetune_epochs: int
    finetune_lr: float


register_section("progressive", ProgressiveConf)


def split_epochs(epochs: int, n_steps: int) -> list[int]:
    """Epochs of each step: as even as can be, the first steps get what is left over.

    Raises:
        LatrefError: fewer epochs than steps.

    Examples:
        >>> split_epochs(200, 3)
        [67, 67, 66]
    """
    if epochs < n_steps:
        raise LatrefError(f"training.epochs is {epochs}: {n_steps} steps need one each at least")
    return [epochs // n_steps + (step < epochs % n_steps) for step in range(n_steps)]


def train_progressive(
    model: LatentRefinementModel, conf: Conf, datasets: Any, exp_dir: Path, resume: bool = True
) -> LatentRefinementModel:
    """Trains a model block by block, then all exits together if the configuration asks for it.

    Step ``k`` lives in ``exp_dir/step{k}``, fine-tuning in ``exp_dir/finetune``, each as
    :func:`~asteroid_latref.engine.train.train_stage` leaves it. The learning rate schedule begins
    anew in each. Steps that are finished are kept, an interrupted one is continued, so running this
    again after a kill gives what an uninterrupted run gives.

    Args:
        model: fresh, of the final depth, with an exit behind every block.
        conf: configuration with a section ``progressive``.
        datasets: training and validation set.
        exp_dir: folder of the experiment.
        resume: here for the runner's signature; steps always go on where they were.

    Returns:
        The model with all its exits, each as its own step left it (or the fine-tuned one).

    Raises:
        LatrefError: the model has no exit behind every block; a step folder holds a damaged
            checkpoint, or a model that was not grown from the step before.

    Reference:
        LIR §2.2 (progressive training); BLOOM-Net §2.2–2.3.
    """
    if model.exit_blocks != tuple(range(1, model.n_blocks + 1)):
        raise LatrefError(f'{conf.path}: progressive training needs exits: "all" in section model')
    section: ProgressiveConf = conf.extra["progressive"]
    n_steps = model.n_blocks
    grown = model.truncate(1, exits="all")
    for step, epochs in enumerate(split_epochs(conf.training.epochs, n_steps), start=1):
        if step > 1:
            torch.manual_seed(_seed(conf, step))
            grown = grown.grow(section.warm_exits).freeze_before_last()
        step_conf = _step_conf(conf, grown, step, epochs)
        _say(f"step {step} of {n_steps}", grown, step_conf, exp_dir / f"step{step}")
        grown = _run_step(grown, step_conf, datasets, exp_dir / f"step{step}")
    _join_histories(exp_dir, n_steps)
    if not section.finetune_epochs:
        return grown.requires_grad_(True)
    tune_conf = _step_conf(conf, grown, n_steps + 1, section.finetune_epochs)
    tune_conf = replace(tune_conf, optim=replace(conf.optim, lr=section.finetune_lr))
    grown.requires_grad_(True)
    _say("fine-tuning of all exits", grown, tune_conf, exp_dir / FINETUNE)
    return _run_step(grown, tune_conf, datasets, exp_dir / FINETUNE, JointExitSystem)


register_runner("progressive", train_progressive)


def _run_step(
    model: LatentRefinementModel,
    conf: Conf,
    datasets: Any,
    folder: Path,
    system_class: type[ProgressiveSystem] | type[JointExitSystem] = ProgressiveSystem,
) -> LatentRefinementModel:
    """The trained model of one step: read if the step is finished, else trained (further)."""
    before = {name: p.detach().clone() for name, p in _frozen(model)}
    if (folder / BEST_MODEL).exists():
        done = _finished(folder, conf)
        _check_grown_from(before, done.state_dict(), folder / BEST_MODEL)
        return done
    last = folder / CHECKPOINTS / LAST
    if last.exists():
        state = load_checkpoint(last)["state_dict"]
        state = {name.removeprefix("model."): value for name, value in state.items()}
        _check_grown_from(before, state, last)
    data = [_reseeded(dataset, conf.training.seed) for dataset in datasets]
    system = make_system(model.train(), conf, (data[0], data[1]), system_class)
    trained = train_stage(system, conf.optim, conf.training, folder, resume=True)
    assert isinstance(trained, LatentRefinementModel)
    return trained


def _step_conf(conf: Conf, model: LatentRefinementModel, step: int, epochs: int) -> Conf:
    """The configuration of one step."""
    sizes = {"name": type(model).__name__, **model.get_model_args()}
    training = replace(conf.training, epochs=epochs, seed=_seed(conf, step))
    return replace(conf, model=sizes, training=training)


def _seed(conf: Conf, step: int) -> int:
    """Every step has a seed of its own; the first one's is the experiment's."""
    return conf.training.seed if step == 1 else step_seed(conf.training.seed, step)


def _frozen(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if not p.requires_grad]


def _finished(folder: Path, conf: Conf) -> LatentRefinementModel:
    """The model of a finished step, if it was trained as ``conf`` says."""
    best = folder / CHECKPOINTS / BEST
    check_same_experiment(best, load_checkpoint(best)["training_config"], conf.as_dict())
    try:
        return LatentRefinementModel.from_pretrained(str(folder / BEST_MODEL))
    except (LatrefError, RuntimeError, TypeError, KeyError) as err:
        raise LatrefError(
            f"{folder / BEST_MODEL}: is damaged; remove {folder} to train this step anew"
            " (earlier steps are kept)"
        ) from err


def _check_grown_from(
    before: Mapping[str, torch.Tensor], now: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Refuses a step whose frozen weights are not those of the step before it."""
    if any(name not in now or not torch.equal(now[name], w) for name, w in before.items()):
        raise LatrefError(
            f"{path}: was grown from another model than the step before it holds; remove"
            " this step's folder and those of later steps to train them anew"
        )


def _reseeded(dataset: Any, seed: int) -> Any:
    """The same data with other random crops, so that no step repeats those of another."""
    if not hasattr(dataset, "seed"):
        return dataset
    dataset = copy.copy(dataset)
    dataset.seed = seed
    return dataset


def _say(what: str, model: torch.nn.Module, conf: Conf, folder: Path) -> None:
    if rank_zero_only.rank != 0:
        return
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    done = (folder / BEST_MODEL).exists()
    state = "finished already" if done else f"epochs: {conf.training.epochs}"
    print(f"{what}: trains {trained:,} of {total:,} parameters, {state} -> {folder}", flush=True)


def _join_histories(exp_dir: Path, n_steps: int) -> None:
    """``history.csv`` of the experiment: the steps' own, one after the other."""
    if rank_zero_only.rank != 0:
        return
    rows = pd.DataFrame()
    for step in range(1, n_steps + 1):
        path = exp_dir / f"step{step}" / HISTORY
        if path.exists():
            more = pd.read_csv(path).assign(step=step)
            more["epoch"] += len(rows)
            rows = pd.concat([rows, more])
    with atomic_path(exp_dir / HISTORY) as tmp:
        rows.to_csv(tmp, index=False)
