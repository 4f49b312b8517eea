"""Who takes part in the speed benchmark: the same network in several hands, and its floor."""

import torch
from asteroid.models import ConvTasNet, DPRNNTasNet, SuDORMRFImprovedNet
from torch.nn import functional as F

from asteroid_latref import IterSudoRmRf
from asteroid_latref.models.convert import from_asteroid

N_SRC, RATE = 3, 8000


def asteroid_sudormrf(n_sub_blocks=4):
    """Asteroid's network with gains and biases that are not 1 and 0, as training leaves them."""
    torch.manual_seed(0)
    model = SuDORMRFImprovedNet(
        N_SRC, bn_chan=128, num_blocks=n_sub_blocks, in_chan=512, upsampling_depth=5,
        n_filters=512, kernel_size=21, stride=10, sample_rate=RATE,
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if "gamma" in name or "beta" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def same_network(n_sub_blocks=4, device="cpu"):
    """Asteroid's network and ours with the same weights."""
    theirs = asteroid_sudormrf(n_sub_blocks)
    return theirs.to(device), from_asteroid(theirs).to(device)


def other_networks(device="cpu"):
    """Asteroid's other separators at their default sizes; different networks, for scale."""
    return {
        "Asteroid ConvTasNet": ConvTasNet(N_SRC, sample_rate=RATE).to(device).eval(),
        "Asteroid DPRNNTasNet": DPRNNTasNet(N_SRC, sample_rate=RATE).to(device).eval(),
    }


def joint_network(device="cpu", **args):
    """Our default: the paper's decoder, from all masked sources to all sources."""
    torch.manual_seed(0)
    return IterSudoRmRf(N_SRC, **{"n_sub_blocks": 4, **args}).to(device)


class Floor:
    """Nothing but the matrix products of a model: each 1×1 convolution, encoder and decoder.

    Args:
        model: an ``IterSudoRmRf`` with the shared decoder.
        batch: examples.
        seconds: length of each.
        how: ``"best"``: as fast as PyTorch has them: oneDNN on channels-last memory on a CPU,
            ``linear`` elsewhere; ``"conv1d"``: as Asteroid calls them; ``"linear"``.
    """

    def __init__(self, model, batch, seconds, how="best"):
        device = next(model.parameters()).device
        samples = int(seconds * RATE)
        frames = (samples + -samples % 160) // 10
        self.how = "linear" if how == "best" and device.type != "cpu" else how
        weights = [model.masker.bottleneck[1].weight]
        for block in model.masker.blocks[0]:
            weights += [block.proj_1x1.conv.weight, block.res_conv.weight]
        weights.append(model.masker.mask_nets["1"].net[1].weight)
        jobs = [(w.detach()[..., 0], batch, frames) for w in weights]
        jobs.append((model.encoder.filterbank._filters.detach()[:, 0], batch, frames))
        jobs.append((model.decoder["1"].weight.detach()[:, 0].t(), batch, N_SRC * frames))
        inputs = {}
        for weight, b, t in jobs:
            key = (weight.shape[1], t)
            inputs.setdefault(key, torch.randn(b, t, key[0], device=device))
        self.jobs = [self._laid_out(w, inputs[w.shape[1], t]) for w, _, t in jobs]

    def _laid_out(self, weight, rows):
        """Weight and input ``(batch, frames, channels)`` as the chosen operation wants them."""
        if self.how == "best":
            return weight.contiguous()[:, None, None].permute(0, 3, 1, 2), rows.transpose(
                1, 2
            ).unsqueeze(2)
        if self.how == "conv1d":
            return weight.unsqueeze(-1).contiguous(), rows.transpose(1, 2).contiguous()
        return weight.contiguous(), rows

    def __call__(self):
        operation = {"best": F.conv2d, "conv1d": F.conv1d, "linear": F.linear}[self.how]
        for weight, x in self.jobs:
            operation(x, weight)
