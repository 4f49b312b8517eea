"""The runs of the study: what each is in words, and its whole configuration."""

import fnmatch
import json
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from asteroid_latref.engine.conf import Conf, conf_from_dict
from asteroid_latref.errors import LatrefError

SIZES = Path(__file__).with_name("study_sizes.yml")
GROUPS = ("iterations", "progressive", "gate", "bloom", "rivals")
# LIR Table 1: sub-blocks, iterations.
TABLE_1 = [(1, 1), (1, 2), (1, 3), (1, 4), (4, 1), (4, 2), (4, 3), (4, 4), (8, 1), (16, 1)]
# LIR Table 2: blocks, sub-blocks, iterations; sixteen applications each.
TABLE_2 = [(2, 8, 1), (2, 4, 2), (2, 2, 4), (4, 4, 1), (4, 2, 2), (4, 1, 4)]


@dataclass(frozen=True)
class Run:
    """One training of the study.

    Attributes:
        name: ``group/what``; where it lives.
        what: in words.
        kind: how it is trained: ``experiment`` (the engine does it all), ``fixed`` (two phases
            without a gate), ``gated`` (with the first phase of another run) or ``rival``.
        conf: with everything but the places of the data.
        first_phase: the run whose first phase this one takes.
    """

    name: str
    what: str
    kind: str
    conf: Conf
    first_phase: str = ""

    @property
    def group(self):
        return self.name.split("/")[0]

    def epochs(self):
        """Of all its steps."""
        tune = getattr(self.conf.extra.get("progressive"), "finetune_epochs", 0)
        return self.conf.training.epochs + tune


def load_sizes(path=SIZES):
    return yaml.safe_load(Path(path).read_text())


def grid(base, sizes, epochs, seed=0):
    """All runs by name, each of ``epochs`` epochs in all.

    Args:
        base: the configuration that they have in common.
        sizes: what ``study_sizes.yml`` holds.
        epochs: passes over the training set, fine-tuning and second phases included.
        seed: of the training.
    """
    make = _Maker(base, epochs, seed)
    runs = [
        *_iterations(make),
        *_progressive(make),
        *_gate(make, sizes["gate"]),
        *_bloom(make, sizes["bloom"]),
        *_rivals(make, sizes["rivals"]),
    ]
    return {run.name: run for run in runs}


def select(runs, patterns):
    """Those whose name fits one of the patterns, in the order of the grid.

    Raises:
        LatrefError: a pattern fits none.
    """
    for pattern in patterns:
        if not fnmatch.filter(runs, pattern):
            raise LatrefError(f"--only {pattern}: fits none of {', '.join(runs)}")
    wanted = patterns or ["*"]
    return {n: run for n, run in runs.items() if any(fnmatch.fnmatch(n, p) for p in wanted)}


def folder(exp_dir, name, seed):
    """Where a run of a seed lives."""
    return Path(exp_dir) / (name if seed == 0 else f"{name}-seed{seed}")


class _Maker:
    """Configurations with the same data, seed and number of epochs in all."""

    def __init__(self, base, epochs, seed):
        self.base, self.epochs, self.seed = base, epochs, seed
        self.decay = base.optim.lr_every / base.training.epochs

    def lr_every(self, epochs):
        """The base's decay, stretched to a step of so many epochs."""
        return max(1, round(self.decay * epochs))

    def conf(self, model, n_steps=1, tune=0, task=None, first=None, **extra):
        """A configuration; ``first``: epochs of a first phase, else those of each step."""
        raw = json.loads(json.dumps(self.base.as_dict()))
        raw["data"]["task"] = task or raw["data"]["task"]
        raw["model"] = model
        raw["training"].update(epochs=self.epochs - tune, seed=self.seed)
        step = first or (self.epochs - tune) // n_steps
        raw["optim"]["lr_every"] = self.lr_every(step)
        return conf_from_dict({**raw, **extra}, self.base.path)

    def sudo(self, n_blocks, n_sub_blocks, n_iters, **more):
        """Model section of the base at these sizes."""
        decided = ("n_src", "sample_rate")  # by the task
        model = {k: v for k, v in self.base.model.items() if k not in decided}
        sizes = {"n_blocks": n_blocks, "n_sub_blocks": n_sub_blocks, "n_iters": n_iters}
        return {**model, **sizes, **more}


def _iterations(make):
    for n_sub_blocks, n_iters in TABLE_1:
        what = f"{_count(n_sub_blocks, 'U-ConvBlock')}, {_count(n_iters, 'iteration')}, end to end"
        conf = make.conf(make.sudo(1, n_sub_blocks, n_iters))
        yield Run(f"iterations/1x{n_sub_blocks}x{n_iters}", what, "experiment", conf)


def _progressive(make):
    for n_blocks, n_sub_blocks, n_iters in TABLE_2:
        what = (
            f"{n_blocks} blocks of {_count(n_sub_blocks, 'U-ConvBlock')},"
            f" {_count(n_iters, 'iteration')}, block by block"
        )
        section = {"warm_exits": False, "finetune_epochs": 0, "finetune_lr": make.base.optim.lr}
        model = make.sudo(n_blocks, n_sub_blocks, n_iters, exits="all")
        conf = make.conf(model, n_steps=n_blocks, progressive=section)
        name = f"progressive/{n_blocks}x{n_sub_blocks}x{n_iters}"
        yield Run(name, what, "experiment", conf)


def _gate(make, sizes):
    second = max(1, round(make.epochs * sizes["share"]))
    model = make.sudo(1, 1, 4)
    model["max_iters"] = model.pop("n_iters")
    model.update(name="GatedSudoRmRf", gate_kernel=sizes["gate_kernel"])
    section = {
        "penalty": 0.0,
        "epochs": second,
        "lr": sizes["lr"],
        "lr_divisor": make.base.optim.lr_divisor,
        "lr_every": max(1, (second + 1) // 2),
        "gate_lr": sizes["gate_lr"],
        "start_items": sizes["start_items"],
        "baselines": [],
    }
    first = make.epochs - second
    for n_iters in sizes["fixed"]:
        conf = make.conf(model, first=first, gate={**section, "baselines": [n_iters]})
        what = f"{_count(n_iters, 'iteration')} for every input, in two phases, no gate"
        yield Run(f"gate/fixed{n_iters}", what, "fixed", conf)
    shared = f"gate/fixed{sizes['fixed'][0]}"
    for penalty in sizes["penalties"]:
        conf = make.conf(model, first=first, gate={**section, "penalty": penalty})
        what = f"up to 4 iterations, a gate at {penalty:g} dB per step"
        yield Run(f"gate/price{penalty:g}", what, "gated", conf, shared)


def _bloom(make, sizes):
    tune = max(1, round(make.epochs * sizes["finetune_share"]))
    deepest = max(sizes["depths"])
    section = {
        "warm_exits": False,
        "finetune_epochs": tune,
        "finetune_lr": sizes["finetune_lr"],
    }
    model = {**sizes["model"], "n_blocks": deepest, "exits": "all"}
    conf = make.conf(model, n_steps=deepest, tune=tune, progressive=section)
    yield Run("bloom/scalable", f"{deepest} blocks, block by block", "experiment", conf)
    for depth in sizes["depths"]:
        model = {**sizes["model"], "n_blocks": depth, "exits": "last"}
        what = f"{_count(depth, 'block')}, trained separately, end to end"
        yield Run(f"bloom/separate{depth}", what, "experiment", make.conf(model))


def _rivals(make, sizes):
    for task in ("enh_single", "sep_noisy"):
        for name in ("ConvTasNet", "SuDORMRFImprovedNet"):
            conf = make.conf(make.sudo(1, 1, 1), task=task)
            n_src = conf.model["n_src"]
            args = {**sizes[name], "n_src": n_src, "sample_rate": conf.data.sample_rate}
            conf = replace(conf, model={"name": name, **args})
            yield Run(f"rivals/{task}_{name}", f"Asteroid's {name}", "rival", conf)
        if task == make.base.data.task:
            continue  # ours are in the other groups
        for n_blocks, n_sub_blocks, n_iters in sizes["ours"]:
            conf = make.conf(make.sudo(n_blocks, n_sub_blocks, n_iters), task=task)
            what = f"{_count(n_sub_blocks, 'U-ConvBlock')}, {_count(n_iters, 'iteration')}"
            sizes_name = f"{n_blocks}x{n_sub_blocks}x{n_iters}"
            yield Run(f"rivals/{task}_{sizes_name}", what + ", end to end", "experiment", conf)


def _count(number, noun):
    return f"{number} {noun}{'s' if number != 1 else ''}"
