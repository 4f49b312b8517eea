"""The gate's start: an estimate of what another step is worth."""

import pytest
import torch

from asteroid_latref import GatedSudoRmRf
from asteroid_latref.engine.gate_start import LOGIT_PER_DB, fit_gate, worth_of_going_on
from asteroid_latref.losses import SlotPITLoss


class Items(torch.utils.data.Dataset):
    """Tones in noise, of all levels."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        time = torch.arange(1600) / 8000
        pitch = 100 + 300 * torch.rand(24, 1, generator=generator)
        tone = torch.sin(2 * torch.pi * pitch * time)
        noise = torch.rand(24, 1, generator=generator) * torch.randn(24, 1600, generator=generator)
        self.targets = torch.stack([tone, noise], 1)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.targets[index].sum(0), self.targets[index]


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = dict(n_src=2, bn_chan=8, hid_chan=8, upsampling_depth=2, n_filters=16, gate_kernel=160)
    return GatedSudoRmRf(**sizes).eval()


def fit(model, penalty):
    return fit_gate(model, Items(), SlotPITLoss(1), penalty, n_items=24)


@torch.no_grad()
def test_worth_is_the_best_to_come_at_its_price():
    losses = torch.tensor([[5.0, 6.0, 1.0, 1.5]])
    # Two steps for 4 dB; then the one that makes it worse before it gets better; then none.
    expected = torch.tensor([[5.0 - 1.0 - 2 * 0.3, 6.0 - 1.0 - 0.3, 1.0 - 1.5 - 0.3]])
    assert torch.allclose(worth_of_going_on(losses, penalty=0.3), expected)


@torch.no_grad()
def test_margin_is_the_estimate_in_logits(model):
    correlation = fit(model, penalty=0.01)
    mixture = torch.stack([Items()[i][0] for i in range(24)])
    latents = [model.masker.bottleneck(model.forward_encoder(mixture.unsqueeze(1)))]
    losses = []
    for n in range(5):
        if n:
            latents.append(model.masker.blocks[0](latents[-1]))
        tf_rep = model.forward_encoder(mixture.unsqueeze(1))
        masks = model.masker.masks(1, latents[-1], tf_rep.shape[-1])
        est = model.forward_decoder(model.apply_masks(tf_rep, masks))[..., :1600]
        one = [SlotPITLoss(1)(est[i : i + 1], Items().targets[i : i + 1]) for i in range(24)]
        losses.append(torch.stack(one))
    worth = worth_of_going_on(torch.stack(losses, 1), 0.01).clamp(-2, 2)
    margins = torch.stack([model.masker.gate.margin(latent) for latent in latents[:4]], 1)
    found = torch.corrcoef(torch.stack([margins.flatten(), worth.flatten()]))[0, 1]
    assert correlation == pytest.approx(float(found), abs=1e-3) and correlation > 0.1
    assert margins.mean() / LOGIT_PER_DB == pytest.approx(float(worth.mean()), abs=1e-3)
    # The mean over time is all it looks at.
    flat = latents[1].mean(-1, keepdim=True).expand_as(latents[1])
    assert torch.allclose(model.masker.gate.margin(flat), margins[:, 1], atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("penalty", "n_steps"), [(50.0, 0), (-50.0, 4)])
def test_price_decides(model, penalty, n_steps):
    fit(model, penalty)
    mixture = torch.stack([Items()[i][0] for i in range(24)])
    assert (model.separate_with_steps(mixture)[1] == n_steps).all()


def test_network_and_mode_stay(model):
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items() if ".gate." not in k}
    fit(model, 0.1)
    assert model.training
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())
    model.separate_with_steps(Items()[0][0])[1].sum().backward()
    assert all(p.grad is not None for p in model.masker.gate.parameters())
