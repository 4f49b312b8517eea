"""The hand-made layout and backward passes against the plain formula."""

import pytest
import torch
from asteroid.masknn import convolutional
from torch import nn
from torch.nn import functional as F

from asteroid_latref import IterSudoRmRf
from asteroid_latref.masknn import functional, gradients, layout, norms
from asteroid_latref.masknn.blocks import NormProjection, UConvBlock
from asteroid_latref.masknn.encoder import FrameEncoder
from asteroid_latref.masknn.exits import MaskedProduct, MaskNet, OverlapAddDecoder

TINY = {"bn_chan": 8, "hid_chan": 16, "n_filters": 12, "upsampling_depth": 3, "n_sub_blocks": 2}


def shaken(module: nn.Module) -> nn.Module:
    """``module`` with gains, biases and slopes that are not 0 or 1."""
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module


def gradients_of(outputs: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return list(torch.autograd.grad(outputs, inputs, torch.randn(outputs.shape).to(outputs)))


@pytest.mark.parametrize("frames", [1, 2, 5, 37, 64])
@pytest.mark.parametrize("per_channel", [True, False])
def test_u_conv_block_is_asteroids(frames, per_channel):
    ours = shaken(UConvBlock(8, 16, 4, prelu_per_channel=per_channel)).double()
    theirs = convolutional.UConvBlock(8, 16, 4).double()
    state = ours.state_dict()
    slope = state["final_norm.act.weight"]
    state["final_norm.act.weight"] = slope.expand(16) if slope.numel() == 1 else slope
    theirs.load_state_dict(state)
    x = torch.randn(3, 8, frames, dtype=torch.float64, requires_grad=True)
    expected = theirs(x)
    assert torch.allclose(ours(x), expected, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(ours(x), expected, atol=1e-12)
    mine = gradients_of(ours(x), x, *ours.parameters())
    wanted = gradients_of(expected, x, *theirs.parameters())
    names = ["x", *dict(ours.named_parameters())]
    for name, a, b in zip(names, mine, wanted, strict=True):
        b = b.sum(0, keepdim=True) if a.shape != b.shape else b
        assert torch.allclose(a, b, atol=1e-11), name


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("slopes", [0, 1, 4])
def test_gradcheck_of_norm_act_conv(stride, dilation, slopes):
    norm = shaken(norms.GlobLN(4)).double()
    act = shaken(nn.PReLU(slopes)).double() if slopes else None
    layer = nn.Conv1d(4, 4, 5, stride, 2 * dilation, dilation, groups=4).double()
    x = torch.randn(2, 4, 1, 9, dtype=torch.float64, requires_grad=True)
    x = x.contiguous(memory_format=torch.channels_last)

    def run(x, *_):
        if act is None:
            return functional.norm_conv(x, norm, layer)
        return functional.norm_act_conv(x, norm, act, layer)

    parameters = [*norm.parameters(), *layer.parameters(), *(act.parameters() if act else ())]
    assert torch.autograd.gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("frames", [gradients.FEW_FRAMES - 1, gradients.FEW_FRAMES])
def test_both_backward_passes_of_the_norm(frames):
    norm = shaken(norms.GlobLN(4)).double()
    x = torch.randn(2, 4, frames, dtype=torch.float64, requires_grad=True)
    layer = nn.Conv1d(4, 3, 1).double()
    out, _ = functional.norm_conv(layout.frames_last(x), norm, layer)
    expected = layer(F.group_norm(x, 1, norm.gamma, norm.beta, 1e-8))
    wanted = (x, *norm.parameters())
    for a, b in zip(
        gradients_of(out.squeeze(2), *wanted), gradients_of(expected, *wanted), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("joint", [True, False])
def test_gradcheck_of_masked_product(joint):
    masks = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    tf_rep = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    shape = (12, 3, 6) if joint else (4, 1, 6)
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MaskedProduct.apply, (masks, tf_rep, weight, joint))


@pytest.mark.parametrize("joint", [True, False])
def test_decoder_is_a_transposed_convolution(joint):
    decoder = OverlapAddDecoder(3, 4, kernel_size=7, stride=3, padding=2, joint=joint).double()
    masked = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x = masked.flatten(1, 2) if joint else masked.flatten(0, 1)
    expected = F.conv_transpose1d(x, decoder.weight, stride=3).reshape(2, 3, -1)[..., 2:]
    assert torch.allclose(decoder(masked), expected, atol=1e-12)


def test_frame_encoder_is_a_convolution():
    from asteroid_filterbanks.free_fb import FreeFB

    encoder = FrameEncoder(FreeFB(6, 7, 3), padding=2)
    wav = torch.randn(2, 1, 50)
    expected = F.conv1d(wav, encoder.filterbank._filters, stride=3, padding=2)
    assert torch.allclose(encoder(wav), expected, atol=1e-5)


def test_inputs_are_left_alone():
    x = torch.randn(2, 8, 16)
    for module in (UConvBlock(8, 16, 3), NormProjection(8, 4), MaskNet(8, 2, 4)):
        args = (x, 16) if isinstance(module, MaskNet) else (x,)
        for grad in (False, True):
            with torch.set_grad_enabled(grad):
                before = x.clone()
                module(*args)
                assert torch.equal(x, before)


def test_second_derivatives_are_refused():
    block = UConvBlock(8, 16, 3)
    x = torch.randn(1, 8, 16, requires_grad=True)
    (grad,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("frozen", ["none", "input", "norms", "convolutions", "all parameters"])
def test_any_part_can_be_frozen(frozen):
    block = shaken(UConvBlock(8, 16, 3))
    x = torch.randn(2, 8, 16, requires_grad=frozen != "input")
    for name, parameter in block.named_parameters():
        is_conv = "conv" in name
        parameter.requires_grad_(
            not (frozen == "all parameters" or (frozen == "norms" and not is_conv))
            and not (frozen == "convolutions" and is_conv)
        )
    block(x).square().sum().backward()
    for p in (x, *block.parameters()):
        assert (p.grad is not None) == p.requires_grad


def saved_bytes(model: nn.Module, wav: torch.Tensor) -> int:
    """Bytes that autograd stores for the backward pass, each storage once, weights apart."""
    stored = {}

    def pack(x):
        stored[x.untyped_storage()._cdata] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = model(wav)
    del out
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    return sum(n for key, n in stored.items() if key not in weights)


def test_a_sub_block_saves_the_inputs_of_its_norms_and_nothing_else():
    block = UConvBlock(8, 16, upsampling_depth=3)
    x = torch.randn(1, 8, 64, requires_grad=True)
    # latent; widened latent; the levels; their sum
    assert saved_bytes(block, x) == 4 * (8 * 64 + 16 * (64 + 64 + 32 + 16 + 64)) + NORM_STATISTICS


NORM_STATISTICS = 2 * 4
"""Mean and deviation of the coarsest level, whose norm is PyTorch's own."""


def test_saved_bytes_do_not_grow_with_checkpointed_iterations():
    wav = torch.randn(1, 1, 800)
    few, many = (
        saved_bytes(IterSudoRmRf(2, **TINY, n_iters=n, checkpoint_iters=True), wav) for n in (2, 16)
    )
    assert few == many < saved_bytes(IterSudoRmRf(2, **TINY, n_iters=2), wav)


def test_large_batches_one_by_one_are_the_batch(monkeypatch):
    model = shaken(IterSudoRmRf(2, **TINY, n_blocks=2, exits="all"))
    wav = torch.randn(3, 1, 500)
    whole, exits = model(wav), model.forward_exits(wav)
    last = model.truncate(2)
    whole_grads = gradients_of(last(wav), *last.parameters())
    monkeypatch.setattr(layout, "ONE_BY_ONE", 0)
    assert torch.allclose(model(wav), whole, atol=1e-5)
    for a, b in zip(model.forward_exits(wav), exits, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    for a, b in zip(gradients_of(last(wav), *last.parameters()), whole_grads, strict=True):
        assert torch.allclose(a, b, atol=1e-3 * float(b.abs().max()) + 1e-6)


def test_autocast_keeps_norms_in_float32_and_gradients_close():
    block = shaken(UConvBlock(16, 32, 3))
    x = torch.randn(2, 16, 64, requires_grad=True)
    exact = gradients_of(block(x), x, *block.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        out = block(x)
        normed = functional.glob_norm(layout.frames_last(x.bfloat16()), norms.GlobLN(16))
    assert out.dtype == normed.dtype == torch.float32
    for a, b in zip(gradients_of(out, x, *block.parameters()), exact, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.1 * b.norm() + 0.1


def test_norms_for_compilers_are_the_norm():
    norm = shaken(norms.GlobLN(4)).double().requires_grad_(False)
    x = 3 + torch.randn(2, 4, 1, 50, dtype=torch.float64)
    for form in (functional.norm_by_sums, torch.ops.asteroid_latref.glob_norm):
        ours = form(x, norm.gamma, norm.beta)
        assert torch.allclose(ours, F.group_norm(x, 1, norm.gamma, norm.beta, 1e-8), atol=1e-12)


@pytest.mark.parametrize("grad", [False, True])
def test_what_a_compiler_sees_computes_the_same(grad):
    block = shaken(UConvBlock(8, 16, 2))
    seen = torch.compile(block, backend="aot_eager")
    x = torch.randn(2, 8, 12)
    with torch.set_grad_enabled(grad):
        out, expected = seen(x), block(x)
    assert torch.allclose(out, expected, atol=1e-5)
    if grad:
        weights = list(block.parameters())
        pairs = zip(gradients_of(out, *weights), gradients_of(expected, *weights), strict=True)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)
