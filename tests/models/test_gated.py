"""GatedSudoRmRf: as many refinements as the gate wants, and not one multiplication more."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from asteroid_latref import GatedSudoRmRf, IterSudoRmRf
from asteroid_latref.models.convert import from_sudo_rm_rf

SIZE = dict(n_src=2, bn_chan=8, hid_chan=12, upsampling_depth=2, n_filters=16, gate_kernel=80)
OPEN, SHUT = float("inf"), -float("inf")


@pytest.fixture(params=[dict(), dict(n_blocks=2, max_iters=[2, 3], exits="all")], ids=["1", "2"])
def model(request):
    """A model whose gate stops some inputs early and lets others run to the end."""
    torch.manual_seed(5)
    model = GatedSudoRmRf(**SIZE, **request.param).eval()
    for parameter in model.masker.gate.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.fixture
def wav(model):
    """Inputs of every step count that 64 random ones show."""
    torch.manual_seed(2)
    wav = torch.randn(64, 1, 1600).cumsum(-1) * torch.rand(64, 1, 1) + torch.randn(64, 1, 1600)
    with torch.no_grad():
        latent = model.masker.bottleneck(model.forward_encoder(wav))
        model.gate_bias = -float(model.masker.gate.margin(latent).quantile(0.3))
        steps = model.separate_with_steps(wav)[1]
    assert len(steps.unique()) >= 3, steps
    return torch.cat([wav[steps == n][:2] for n in steps.unique()])[torch.randperm(6)]


def flops(call) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


def last_latent(model, wav):
    tf_rep = model.forward_encoder(wav)
    return list(model.masker.latents(tf_rep, model.operating_point()[1]))[-1][1]


@torch.no_grad()
def test_steps_are_those_of_the_formula(model, wav):
    """y <- g F(y) + (1 - g) y, written out for one input at a time."""
    est, n_steps = model.separate_with_steps(wav)
    for i, one in enumerate(wav):
        tf_rep = model.forward_encoder(one[None])
        latent, steps = model.masker.bottleneck(tf_rep), 0.0
        for block, limit in zip(model.masker.blocks, model.n_iters, strict=True):
            for _ in range(limit):
                g = float(model.masker.gate(latent))
                latent = g * block(latent) + (1 - g) * latent
                steps += g
        masks = model.masker.masks(model.n_blocks, latent, tf_rep.shape[-1])
        expected = model.forward_decoder(model.apply_masks(tf_rep, masks))[0, :, :1600]
        assert n_steps[i] == steps
        assert torch.allclose(est[i], expected, atol=1e-5 * float(expected.abs().max()))
    assert torch.equal(model(wav), est)


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_forced_open_is_ungated(model, wav, training):
    model.train(training).gate_bias = OPEN
    est, n_steps = model.separate_with_steps(wav)
    assert (n_steps == sum(model.n_iters)).all()
    assert torch.equal(est, model(wav, n_iters=model.n_iters))


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_forced_shut_leaves_the_latent(model, wav, training):
    model.train(training).gate_bias = SHUT
    assert (model.separate_with_steps(wav)[1] == 0).all()
    assert torch.equal(last_latent(model, wav), model.masker.bottleneck(model.forward_encoder(wav)))


@torch.no_grad()
def test_forced_shut_costs_no_block(model, wav):
    model.gate_bias = SHUT
    tf_rep = model.forward_encoder(wav)
    latent = model.masker.bottleneck(tf_rep)
    whole = flops(lambda: model(wav))
    around = flops(lambda: model.masker.bottleneck(model.forward_encoder(wav)))
    masks = model.masker.masks(model.n_blocks, latent, tf_rep.shape[-1])
    behind = flops(lambda: model.masker.masks(model.n_blocks, latent, tf_rep.shape[-1]))
    behind += flops(lambda: model.forward_decoder(model.apply_masks(tf_rep, masks)))
    assert whole == around + behind + flops(lambda: model.masker.gate(latent))


@torch.no_grad()
def test_mixed_batch_costs_its_own_steps(model, wav):
    """In multiplications: exactly what each input costs alone, which is what its steps cost."""
    with torch.no_grad():
        n_steps = model.separate_with_steps(wav)[1].int().tolist()
        latent = model.masker.bottleneck(model.forward_encoder(wav))
    assert flops(lambda: model(wav)) == sum(flops(lambda w=w: model(w[None])) for w in wav)
    parts = (model.masker.gate, *model.masker.blocks)
    gate, *blocks = (flops(lambda part=part: part(latent[:1])) for part in parts)
    of_step = np.repeat(blocks, model.n_iters)
    refined = flops(lambda: model(wav, n_iters=1)) - len(wav) * sum(blocks)
    for n in n_steps:
        refined += int(of_step[:n].sum()) + gate * min(n + 1, len(of_step))
    assert flops(lambda: model(wav)) == refined


@torch.no_grad()
def test_traced_model_gives_the_same_steps(model, wav):
    steps_of = torch.jit.trace_module(
        model, {"separate_with_steps": torch.randn(2, 1, 640)}, check_trace=False
    )
    est, n_steps = steps_of.separate_with_steps(wav)
    expected, expected_steps = model.separate_with_steps(wav)
    assert torch.equal(n_steps, expected_steps)
    assert torch.allclose(est, expected, atol=1e-5 * float(expected.abs().max()))


def test_gradients_reach_the_gate_and_the_blocks(model, wav):
    model.train().gate_bias = 1.0
    for share in ("estimates", "steps"):
        model.zero_grad()
        est, n_steps = model.separate_with_steps(wav)
        (est.square().mean() if share == "estimates" else n_steps.mean()).backward()
        assert all(p.grad.abs().sum() > 0 for p in model.masker.gate.parameters()), share
        if share == "estimates":
            assert all(p.grad.abs().sum() > 0 for p in model.masker.blocks.parameters())


@torch.no_grad()
def test_stopping_is_final_in_training_too(model, wav):
    """Whatever is drawn afterwards: the latent of a stopped input stays."""
    model.train()
    total = sum(model.n_iters)
    draws = (torch.rand(total, len(wav)) < 0.6).float()
    script = iter(draws)
    model.masker.gate.forward = lambda latent: next(script)
    _, n_steps = model.separate_with_steps(wav)
    assert torch.equal(n_steps, draws.cumprod(0).sum(0)) and len(n_steps.unique()) > 1
    tf_rep = model.forward_encoder(wav)
    script = iter(draws)
    latent = list(model.masker.latents(tf_rep, model.operating_point()[1]))[-1][1]
    stopped = n_steps == 0
    assert stopped.any() and torch.equal(latent[stopped], model.masker.bottleneck(tf_rep)[stopped])


@torch.no_grad()
def test_seeds_matter_in_training_only(model, wav):
    for training, same in ((True, False), (False, True)):
        model.train(training)
        outcomes = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            outcomes.append(model.separate_with_steps(wav))
        for a, b in zip(*outcomes, strict=True):
            assert torch.equal(a, b) == same


@torch.no_grad()
def test_bias_is_saved_and_may_be_chosen_at_load_time(model, wav):
    saved = model.serialize()
    again = GatedSudoRmRf.from_pretrained(saved).eval()
    assert again.gate_bias == model.gate_bias
    assert torch.equal(again.separate_with_steps(wav)[1], model.separate_with_steps(wav)[1])
    always = GatedSudoRmRf.from_pretrained(saved, gate_bias=OPEN).eval()
    assert (always.separate_with_steps(wav)[1] == sum(model.n_iters)).all()
    assert torch.equal(always(wav), model(wav, n_iters=model.n_iters))


@torch.no_grad()
def test_ungated_is_the_iterated_model(wav, model):
    plain = model.ungated()
    assert type(plain) is IterSudoRmRf and plain.n_iters == model.n_iters
    assert torch.equal(plain(wav), model(wav, n_iters=model.n_iters))
    assert torch.equal(model.ungated(1)(wav), model(wav, n_iters=1))
    plain.decoder.requires_grad_(False).apply(lambda m: [p.zero_() for p in m.parameters()])
    assert model(wav).abs().sum() > 0


def test_gate_kernel_is_checked():
    with pytest.raises(ValueError, match="gate_kernel"):
        GatedSudoRmRf(n_src=2, gate_kernel=0)


def test_gate_at_the_paper_s_size():
    with_gate = GatedSudoRmRf(n_src=2)
    without = IterSudoRmRf(n_src=2, n_sub_blocks=1)
    n_parameters = [sum(p.numel() for p in m.parameters()) for m in (with_gate, without)]
    assert n_parameters[0] - n_parameters[1] == 13_061


@torch.no_grad()
def test_agrees_with_the_authors():
    folder = os.environ.get("LATREF_GOLDEN_DIR")
    if not folder:
        pytest.skip("LATREF_GOLDEN_DIR is not set: no reference vectors of the authors' code")
    arrays = np.load(Path(folder) / "gated_sudormrf_authors.npz", allow_pickle=False)
    golden = {k: torch.from_numpy(arrays[k]) for k in arrays.files}
    model = from_sudo_rm_rf({k[2:]: v for k, v in golden.items() if k.startswith("w/")})
    est, n_steps = model.separate_with_steps(golden["x"])
    assert torch.equal(n_steps, golden["n_steps"])
    ungated = model(golden["x"], n_iters=4)
    for ours, theirs in ((est, golden["y"]), (ungated, golden["y_ungated"])):
        worst = (ours - theirs).abs().amax((1, 2)) / theirs.abs().amax((1, 2))
        assert worst.max() < 1e-5
