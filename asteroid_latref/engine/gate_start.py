"""Where a gate starts: what another step is worth, estimated from the latent."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from ..masknn.gate import Gate
from ..models import GatedSudoRmRf

CLIP = 2.0  # dB: the first step is worth many, and would drown the differences between the others
SHRINK = 0.01
LOGIT_PER_DB = 3.0


@torch.no_grad()
def fit_gate(
    model: GatedSudoRmRf,
    dataset: Dataset,
    loss_func: nn.Module,
    penalty: float,
    n_items: int,
    batch_size: int = 4,
) -> float:
    """Sets the gate to a linear estimate of what going on is worth.

    Every item is refined to the end. Before each step, going on is worth the best of the losses to
    come, each with the price of the steps to it, below the loss of stopping there. That is
    predicted by ridge regression from the mean of the latent over time. The gate computes just
    such a sum: its two channels become the estimate and its negative, PReLU keeps their difference
    linear, and its last convolution takes the mean.

    Args:
        model: pre-trained without the gate; its gate is overwritten.
        dataset: items ``(mixture (time,), targets (slots, time))``.
        loss_func: ``(est, targets) -> scalar`` in dB.
        penalty: price of a step in dB.
        n_items: items to look at, from the first.
        batch_size: items at once.

    Returns:
        Correlation of the estimate with what it estimates, on these items.
    """
    training = model.training
    model.eval()
    items = Subset(dataset, range(min(n_items, len(dataset))))  # type: ignore[arg-type]
    seen, worth = [], []
    for mixture, targets in DataLoader(items, batch_size=batch_size):
        latents, losses = _unrolled(model, mixture, targets, loss_func)
        seen.append(latents)
        worth.append(worth_of_going_on(losses, penalty))
    x = torch.cat(seen).flatten(0, 1).double()  # (items * steps, bn_chan)
    y = torch.cat(worth).flatten().double().clamp(-CLIP, CLIP)  # (items * steps,)
    weight, bias = _ridge(x, y)
    _set_gate(model.masker.gate, weight.float(), float(bias))
    model.train(training)
    return float(torch.corrcoef(torch.stack([x @ weight + bias, y]))[0, 1])


def worth_of_going_on(losses: Tensor, penalty: float) -> Tensor:
    """What is gained by not stopping before each step, in dB.

    Args:
        losses: ``(batch, steps + 1)``, after none, one, … steps.
        penalty: price of a step.

    Returns:
        ``(batch, steps)``.

    Examples:
        >>> worth_of_going_on(torch.tensor([[0.0, -1.0, -1.0]]), penalty=0.25)
        tensor([[ 0.7500, -0.2500]])
    """
    priced = losses + penalty * torch.arange(losses.shape[1])
    best_to_come = priced.flip(1).cummin(1).values.flip(1)[:, 1:]
    return priced[:, :-1] - best_to_come


def _unrolled(
    model: GatedSudoRmRf, mixture: Tensor, targets: Tensor, loss_func: nn.Module
) -> tuple[Tensor, Tensor]:
    """Mean latents before each step ``(batch, steps, bn_chan)``, losses ``(batch, steps + 1)``."""
    tf_rep = model.forward_encoder(mixture.unsqueeze(1))
    latent = model.masker.bottleneck(tf_rep)
    means, losses = [], []

    def add_losses() -> None:
        masks = model.masker.masks(model.n_blocks, latent, tf_rep.shape[-1])
        est = model.forward_decoder(model.apply_masks(tf_rep, masks))[..., : mixture.shape[-1]]
        pairs = zip(est.split(1), targets.split(1), strict=True)
        losses.append(torch.stack([loss_func(one, target) for one, target in pairs]))

    add_losses()
    for block, limit in zip(model.masker.blocks, model.n_iters, strict=True):
        for _ in range(limit):
            means.append(latent.mean(-1))
            latent = block(latent)
            add_losses()
    return torch.stack(means, 1), torch.stack(losses, 1)


def _ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and intercept of the ridge regression of ``y`` on ``x``."""
    centre = x.mean(0)
    a, b = x - centre, y - y.mean()
    shrink = SHRINK * len(a) * a.var() * torch.eye(a.shape[1], dtype=a.dtype)
    weight = torch.linalg.solve(a.T @ a + shrink, a.T @ b)
    return weight, y.mean() - centre @ weight


def _set_gate(gate: Gate, weight: Tensor, bias: float) -> None:
    """Makes the gate's margin ``LOGIT_PER_DB`` times (mean latent · weight + bias)."""
    project, act = gate.reduce
    assert isinstance(project, nn.Conv1d) and isinstance(act, nn.PReLU)
    assert project.bias is not None and gate.judge.bias is not None
    project.weight.copy_(torch.stack([weight, -weight]).unsqueeze(-1))
    project.bias.copy_(torch.tensor([bias, -bias]))
    # PReLU(v) - PReLU(-v) = (1 + slope) v, whatever the sign; both logits do half of the margin.
    size = gate.judge.kernel_size[0]
    share = LOGIT_PER_DB / (2 * size * (1 + float(act.weight)))
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    gate.judge.weight.copy_(share * signs.unsqueeze(-1).expand(2, 2, size))
    gate.judge.bias.zero_()
