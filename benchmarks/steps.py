"""The steps of a training, untrained: how long each is, and what one optimizer step takes."""

import time
from dataclasses import dataclass

import torch

from asteroid_latref.data.wham import get_task
from asteroid_latref.engine.conf import build_model
from asteroid_latref.engine.stages import split_epochs
from asteroid_latref.losses import SlotPITLoss
from asteroid_latref.saved import saved_for_backward


@dataclass
class Step:
    """One step: a model with what it trains requiring a gradient, and its loss.

    Attributes:
        epochs: of this step.
        model: fresh, in training mode.
        loss: ``(wav, targets) -> scalar``.
    """

    epochs: int
    model: torch.nn.Module
    loss: object


def steps_of(conf, build=build_model):
    """The steps that the engine takes for a configuration: one, or one per block, or phases."""
    separation = SlotPITLoss(get_task(conf.data.task).n_speech)
    final = build(conf)

    def last_exit(model):
        return lambda wav, targets: separation(model(wav), targets)

    if "gate" in conf.extra:
        return _gated_steps(conf, final, last_exit, separation)
    if "progressive" not in conf.extra:
        return [Step(conf.training.epochs, final, last_exit(final))]
    model, steps = final.truncate(1, exits="all"), []
    for k, epochs in enumerate(split_epochs(conf.training.epochs, final.n_blocks)):
        model = model.grow().freeze_before_last() if k else model
        steps.append(Step(epochs, model, last_exit(model)))
    if tune := conf.extra["progressive"].finetune_epochs:

        def all_exits(wav, targets):
            return sum(separation(one, targets) for one in final.forward_exits(wav))

        steps.append(Step(tune, final.requires_grad_(True), all_exits))
    return steps


def _gated_steps(conf, final, last_exit, separation):
    """Both phases; a list of baselines stands for the models without a gate, of one count each."""
    gate = conf.extra["gate"]
    first = conf.training.epochs - gate.epochs
    plain = final.ungated(gate.baselines[0] if gate.baselines else None)
    second = Step(gate.epochs, plain, last_exit(plain))
    if not gate.baselines:

        def priced(wav, targets):
            est, n_steps = final.separate_with_steps(wav)
            return separation(est, targets) + gate.penalty * n_steps.mean()

        second = Step(gate.epochs, final, priced)
    return [Step(first, plain, last_exit(plain)), second]


def step_records(conf, n_items, build=build_model):
    """Per step: epochs, optimizer steps, parameters trained, bytes saved for backward."""
    wav, targets = random_batch(conf)
    per_epoch = n_items // conf.training.batch_size
    return [
        {
            "epochs": step.epochs,
            "optimizer_steps": step.epochs * per_epoch,
            "trained_parameters": sum(p.numel() for p in _trained(step.model)),
            "saved_bytes": saved_for_backward(
                step.model, lambda step=step: step.loss(wav, targets)
            ),
        }
        for step in steps_of(conf, build)
    ]


def step_seconds(conf, repeats=10, build=build_model):
    """Per step of a training: processor seconds that one optimizer step takes, the median."""
    wav, targets = random_batch(conf)
    found = []
    for step in steps_of(conf, build):
        optimizer = torch.optim.Adam(_trained(step.model), lr=conf.optim.lr)
        spent = []
        for _ in range(repeats + 1):
            start = time.process_time()
            optimizer.zero_grad()
            step.loss(wav, targets).backward()
            torch.nn.utils.clip_grad_norm_(_trained(step.model), conf.training.gradient_clip)
            optimizer.step()
            spent.append(time.process_time() - start)
        found.append(sorted(spent[1:])[repeats // 2])
    return found


def random_batch(conf):
    """Noise as long and as many as what the network gets in training."""
    samples = int(conf.data.segment / (1 + conf.training.vary_speed) * conf.data.sample_rate)
    n_slots = len(get_task(conf.data.task).slots)
    wav = torch.randn(conf.training.batch_size, samples)
    return wav, torch.randn(conf.training.batch_size, n_slots, samples)


def _trained(model):
    return [p for p in model.parameters() if p.requires_grad]
