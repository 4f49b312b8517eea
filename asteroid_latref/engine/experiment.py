"""One experiment in one folder: its configuration, its training, its best model."""

import argparse
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.utilities import rank_zero_only

from ..errors import LatrefError, one_line_errors
from ..experiment import BEST_MODEL, CONF
from ..files import atomic_path, write_error
from ..memory import keep_freed_memory
from ..models import LatentRefinementModel
from ..models.serialization import load_conf as load_weights
from .conf import Conf, build_model, load_conf
from .train import (
    CHECKPOINTS,
    LAST,
    check_same_experiment,
    make_datasets,
    make_system,
    save_model,
    train_stage,
)

Runner = Callable[[LatentRefinementModel, Conf, Any, Path, bool], LatentRefinementModel]
RUNNERS: dict[str, Runner] = {}


def register_runner(section: str, runner: Runner) -> None:
    """Configurations that have the optional ``section`` are trained by ``runner``.

    It is called with the fresh model, the configuration, the two data sets, the folder and whether
    to resume, and returns the trained model.
    """
    RUNNERS[section] = runner


def train_plain(
    model: LatentRefinementModel, conf: Conf, datasets: Any, exp_dir: Path, resume: bool
) -> LatentRefinementModel:
    """Trains all parameters at once on the loss of the last exit."""
    system = make_system(model, conf, datasets)
    trained = train_stage(system, conf.optim, conf.training, exp_dir, resume)
    assert isinstance(trained, LatentRefinementModel)
    return trained


def train_experiment(conf: Conf, exp_dir: str | Path, resume: bool = False) -> bool:
    """Trains ``conf`` in ``exp_dir``: afterwards ``best_model.pth`` and ``conf.yml`` are there.

    Args:
        conf: what to train on what.
        exp_dir: folder of this experiment alone.
        resume: continue an interrupted training, or a finished one up to more epochs.

    Returns:
        False if it was trained already and nothing was done.

    Raises:
        LatrefError: the folder holds an experiment with other settings, or an interrupted one and
            ``resume`` is not set.
    """
    exp_dir = Path(exp_dir)
    _check_folder(conf, exp_dir, resume)
    if (exp_dir / BEST_MODEL).exists() and not resume:
        return False
    datasets = make_datasets(conf)
    pl.seed_everything(conf.training.seed, verbose=False)
    model = start_model(conf)
    special = [RUNNERS[name] for name in conf.extra if name in RUNNERS]
    runner = special[0] if special else train_plain
    trained = runner(model, conf, datasets, exp_dir, resume)
    if rank_zero_only.rank == 0:
        with atomic_path(exp_dir / CONF) as tmp:
            tmp.write_text(yaml.safe_dump(conf.as_dict(), sort_keys=False))
        init = conf.training.init
        before = [] if init is None else load_weights(init).get("licenses", [])
        save_model(trained, exp_dir / BEST_MODEL, datasets[0], before)
    return True


def start_model(conf: Conf) -> LatentRefinementModel:
    """The model of a configuration: fresh, or with the weights of ``training.init``.

    Raises:
        LatrefError: there is no such model, it has other sizes, or the model is to grow.
    """
    model: LatentRefinementModel = build_model(conf)
    if conf.training.init is None:
        return model
    if "progressive" in conf.extra:
        raise LatrefError(f"{conf.path}: training.init: a model that grows begins with one block")
    trained = LatentRefinementModel.from_pretrained(conf.training.init)
    try:
        model.load_state_dict(trained.state_dict())
    except RuntimeError as err:
        detail = str(err).strip().splitlines()[1].strip()
        raise LatrefError(
            f"{conf.path}: training.init: {conf.training.init} has other sizes ({detail:.100})"
        ) from err
    return model


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``train.py --conf conf.yml --exp_dir exp/tag [--resume true] [--key value ...]``."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--conf", required=True, help="YAML file (local/conf/*.yml)")
    parser.add_argument("--exp_dir", required=True, help="folder of the experiment")
    parser.add_argument("--resume", default="false", choices=["true", "false"])
    args, overrides = parser.parse_known_args(argv)
    quiet_lightning()
    keep_freed_memory()
    try:
        conf = load_conf(args.conf, overrides)
        if not train_experiment(conf, args.exp_dir, args.resume == "true"):
            print(f"{args.exp_dir}: trained already; remove it to train again")
    except OSError as err:
        # Everything that is read is checked where it is read, so this is Lightning writing a log.
        raise write_error(err.filename or args.exp_dir, err) from err
    return 0


def quiet_lightning() -> None:
    """Leaves the progress bar and the warnings about the user's doing, drops the rest."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (".*pkg_resources is deprecated.*", ".*litlogger.*", ".*isinstance.treespec.*"):
        warnings.filterwarnings("ignore", message=message)


def _check_folder(conf: Conf, exp_dir: Path, resume: bool) -> None:
    stored = exp_dir / CONF
    if stored.exists():
        check_same_experiment(stored, yaml.safe_load(stored.read_text()), conf.as_dict())
    finished = (exp_dir / BEST_MODEL).exists()
    interrupted = any(exp_dir.glob(f"**/{CHECKPOINTS}/{LAST}")) and not finished
    in_stages = any(name in RUNNERS for name in conf.extra)  # these go on by themselves
    if interrupted and not resume and not in_stages:
        raise LatrefError(
            f"{exp_dir}: holds an interrupted training; --resume true continues it, --tag NAME"
            " begins another, or remove the folder"
        )
