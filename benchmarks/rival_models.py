"""Asteroid's own networks in this package's training and evaluation."""

import copy
from pathlib import Path

import pytorch_lightning as pl
import torch
from asteroid import models as asteroid_models

from asteroid_latref.engine.checkpoint import load_checkpoint
from asteroid_latref.engine.train import (
    BEST,
    CHECKPOINTS,
    make_datasets,
    make_system,
    train_stage,
)
from asteroid_latref.models.convert import from_asteroid
from asteroid_latref.profile import profile_model

SUDO = "SuDORMRFImprovedNet"
HOW_SUDO = (
    "trained as IterSudoRmRf(decoder='shared'), which computes the same function from the same"
    " initial weights and is faster; evaluated and timed as Asteroid's class with those weights"
)


class OneExit(torch.nn.Module):
    """Anything from waveform to waveforms, with what evaluation asks of a model.

    Args:
        model: ``(time,) -> (n_src, time)``.
        args: what evaluation writes down of it.
    """

    exit_blocks = (1,)
    n_iters = (1,)

    def __init__(self, model, args):
        super().__init__()
        self.model, self.args = model, args
        self.sample_rate = args["sample_rate"]

    def forward(self, wav):
        return self.model(wav)

    def forward_exits(self, wav):
        return [self(wav)]

    def get_model_args(self):
        return self.args

    def costs(self):
        row = profile_model(self, repeats=0)[0]
        return [{**row, "macs_per_second": 1e9 * row["gmacs_per_second"]}]


def build_asteroid(conf):
    """Asteroid's model of a configuration, freshly initialised."""
    args = {key: value for key, value in conf.model.items() if key != "name"}
    return getattr(asteroid_models, conf.model["name"])(**args)


def build_trained(conf):
    """What is trained in its place: the model itself, or a faster one of the same function."""
    model = build_asteroid(conf)
    return from_asteroid(model) if conf.model["name"] == SUDO else model


def to_asteroid(trained, asteroid_model):
    """Copies the weights of a converted model back; returns Asteroid's.

    The places are found by converting a model whose every weight is its own number.
    """
    numbered = copy.deepcopy(asteroid_model)
    sizes = [p.numel() for p in numbered.parameters()]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    with torch.no_grad():
        for parameter, start in zip(numbered.parameters(), starts, strict=True):
            parameter.copy_(start + torch.arange(parameter.numel()).view_as(parameter))
        values = torch.empty(sum(sizes))
        places = from_asteroid(numbered).state_dict()
        for name, weight in trained.state_dict().items():
            values[places[name].long().flatten()] = weight.flatten().cpu()
        for parameter, start in zip(asteroid_model.parameters(), starts, strict=True):
            parameter.copy_(values[start : start + parameter.numel()].view_as(parameter))
    return asteroid_model


def train_rival(conf, exp_dir, resume=True):
    """Trains a rival as :func:`train_experiment` trains ours: same data, order, loss and steps."""
    datasets = make_datasets(conf)
    pl.seed_everything(conf.training.seed, verbose=False)
    system = make_system(build_trained(conf), conf, datasets)
    train_stage(system, conf.optim, conf.training, Path(exp_dir), resume)


def load_rival(conf, exp_dir):
    """The trained rival as Asteroid's class, ready to be evaluated."""
    state = load_checkpoint(Path(exp_dir) / CHECKPOINTS / BEST)["state_dict"]
    trained = build_trained(conf)
    trained.load_state_dict({k.removeprefix("model."): v for k, v in state.items()})
    model = build_asteroid(conf)
    if conf.model["name"] == SUDO:
        model = to_asteroid(trained, model).eval()
        wav = torch.randn(1, conf.data.sample_rate)
        with torch.inference_mode():
            torch.testing.assert_close(model(wav), trained.eval()(wav), rtol=1e-3, atol=1e-4)
    else:
        model = trained
    return OneExit(model.eval(), {k: v for k, v in conf.model.items() if k != "name"})
