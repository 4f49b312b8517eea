"""The gate: what it decides, at any length, and where its gradient goes."""

import pytest
import torch

from asteroid_latref.masknn.gate import Gate


@pytest.fixture
def gate():
    torch.manual_seed(0)
    return Gate(bn_chan=6, kernel_size=40).eval()


def all_windows(gate: Gate, latent: torch.Tensor) -> torch.Tensor:
    """Margin of every window of ``kernel_size`` frames: ``(windows, batch)``."""
    size = gate.judge.kernel_size[0]
    starts = range(latent.shape[-1] - size + 1)
    return torch.stack([gate.margin(latent[..., s : s + size]) for s in starts])


@torch.no_grad()
def test_one_window_is_the_formula_of_the_paper(gate):
    latent = torch.randn(5, 6, 40)
    hidden = gate.reduce(latent)
    logits = torch.einsum("bct,oct->bo", hidden, gate.judge.weight) + gate.judge.bias
    assert torch.allclose(gate.margin(latent), logits[:, 0] - logits[:, 1], atol=1e-6)
    assert torch.equal(gate(latent), (logits.argmax(-1) == 0).float())


@torch.no_grad()
@pytest.mark.parametrize("frames", [41, 57, 80, 333])
def test_long_input_gets_the_mean_over_its_windows(gate, frames):
    latent = 3 + torch.randn(4, 6, frames)
    assert torch.allclose(gate.margin(latent), all_windows(gate, latent).mean(0), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 17, 39])
def test_short_input_is_zero_padded_behind_the_projection(gate, frames):
    latent = torch.randn(4, 6, frames)
    seen = torch.einsum("bct,oct->bo", gate.reduce(latent), gate.judge.weight[..., :frames])
    margin = (seen + gate.judge.bias) @ torch.tensor([1.0, -1.0])
    assert torch.allclose(gate.margin(latent), margin, atol=1e-6)


@torch.no_grad()
def test_repeated_input_keeps_its_decision(gate):
    """Twice the same four seconds are judged as once, up to where the windows begin."""
    torch.nn.init.constant_(gate.judge.weight[0], 0.02)
    torch.nn.init.constant_(gate.judge.weight[1], -0.02)
    latent = torch.randn(8, 6, 40)
    assert torch.allclose(
        gate.margin(torch.cat([latent, latent, latent], -1)), gate.margin(latent), atol=1e-5
    )


@torch.no_grad()
def test_bias_moves_the_threshold(gate):
    latent = torch.randn(50, 6, 40)
    margins = gate.margin(latent)
    shares = []
    for bias in (-float("inf"), -0.1, 0.0, 0.1, float("inf")):
        gate.bias = bias
        assert torch.equal(gate(latent), (margins + bias >= 0).float())
        shares.append(float(gate(latent).mean()))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


@torch.no_grad()
def test_draws_follow_the_gumbel_softmax(gate):
    """Share of "refine" among the draws is the softmax of the logits (Eq. 8-9)."""
    gate.train()
    latent = torch.randn(1, 6, 40).expand(20_000, -1, -1)
    for bias in (-1.0, 0.0, 2.0):
        gate.bias = bias
        draws = gate(latent)
        assert set(draws.unique().tolist()) == {0.0, 1.0}
        chance = torch.sigmoid(gate.margin(latent[:1]))
        assert abs(float(draws.mean() - chance)) < 0.015


def test_draws_have_the_gradient_of_the_soft_decision(gate):
    gate.train()
    latent = torch.randn(7, 6, 55)
    torch.manual_seed(3)
    gate(latent).sum().backward()
    straight_through = gate.judge.bias.grad.clone()
    torch.manual_seed(3)
    margin = gate.margin(latent)
    soft = torch.softmax(
        torch.stack([margin + torch.logit(torch.rand(7), eps=1e-6), torch.zeros(7)], -1), -1
    )[:, 0]
    (expected,) = torch.autograd.grad(soft.sum(), gate.judge.bias)
    assert torch.allclose(straight_through, expected, rtol=1e-5) and expected.abs().min() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in gate.parameters())


@torch.no_grad()
def test_chance_only_in_training(gate):
    latent = torch.randn(200, 6, 40)
    by_seed = {}
    for mode in (True, False):
        gate.train(mode)
        for seed in (1, 2):
            torch.manual_seed(seed)
            by_seed[mode, seed] = gate(latent)
    assert not torch.equal(by_seed[True, 1], by_seed[True, 2])
    assert torch.equal(by_seed[False, 1], by_seed[False, 2])


@torch.no_grad()
def test_forced_gate_is_forced_in_training_too(gate):
    gate.train()
    latent = torch.randn(100, 6, 40)
    for bias, decision in ((float("inf"), 1.0), (-float("inf"), 0.0)):
        gate.bias = bias
        assert gate(latent).unique().tolist() == [decision]
