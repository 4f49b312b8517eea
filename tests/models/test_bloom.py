from itertools import pairwise

import pytest
import torch
from asteroid.models import ConvTasNet, DPRNNTasNet
from torch import nn

from asteroid_latref import BloomConvTasNet, BloomDPRNN, BloomSepformer
from asteroid_latref.flops import count_flops
from asteroid_latref.masknn.transformer import TransformerLayer

CONV = dict(bn_chan=8, hid_chan=12, n_filters=16)
DPRNN = dict(bn_chan=8, hid_size=6, chunk_size=10, n_filters=16)
SEPFORMER = dict(n_layers=2, bn_chan=8, n_heads=2, ff_chan=12, chunk_size=10, n_filters=16)


def to_asteroid(state, depth, renamed):
    """The weights of the exit behind ``depth``, under Asteroid's names."""
    rules = [
        ("encoder.", "encoder."),
        (f"decoder.{depth}.weight", "decoder.filterbank._filters"),
        *((old.format(depth), new) for old, new in renamed),
    ]
    weights = {}
    for key, value in state.items():
        for old, new in rules:
            if key.startswith(old):
                weights[new + key.removeprefix(old)] = value
    return weights


def randomised(model):
    """Every weight at random: the gains and slopes too, which begin alike everywhere."""
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    return model.eval()


def close(ours, theirs):
    scale = theirs.abs().max()
    return scale > 1e-3 and (ours - theirs).abs().max() <= 1e-5 * scale


def test_sizes_of_bloom_conv_tas_net():
    sizes = [sum(p.numel() for p in BloomConvTasNet(n_blocks=n).parameters()) for n in range(1, 7)]
    assert sizes == [284_931, 494_982, 705_033, 915_084, 1_125_135, 1_335_186]
    whole = BloomConvTasNet()
    cut = [whole.truncate(n, exits="all") for n in range(1, 7)]
    assert [sum(p.numel() for p in model.parameters()) for model in cut] == sizes


def test_size_of_sepformer_is_the_published_one():
    model = BloomSepformer(n_src=2, exits="last")
    assert sum(p.numel() for p in model.parameters()) == 25_679_361  # published: 25.7 M


@torch.no_grad()
@pytest.mark.parametrize("n_sub_blocks", [1, 3])
def test_every_exit_is_asteroids_conv_tas_net(n_sub_blocks):
    model = randomised(BloomConvTasNet(n_blocks=3, n_sub_blocks=n_sub_blocks, **CONV))
    for depth, time in [(1, 1001), (2, 16), (3, 800)]:
        theirs = ConvTasNet(n_src=1, n_blocks=n_sub_blocks, n_repeats=depth, skip_chan=None, **CONV)
        places = [
            (f"masker.blocks.{i}.{j}.", f"masker.TCN.{i * n_sub_blocks + j}.")
            for i in range(depth)
            for j in range(n_sub_blocks)
        ]
        places += [
            ("masker.bottleneck.", "masker.bottleneck."),
            ("masker.mask_nets.{}.net.", "masker.mask_net."),
        ]
        theirs.load_state_dict(to_asteroid(model.state_dict(), depth, places))
        wav = torch.randn(2, 1, time)
        assert close(model(wav, n_blocks=depth), theirs.eval()(wav))


@torch.no_grad()
def test_every_exit_is_asteroids_dprnn_tas_net():
    model = randomised(BloomDPRNN(n_src=2, n_blocks=3, **DPRNN))
    places = [
        ("masker.blocks.0.0.", "masker.net.0."),
        ("masker.blocks.1.0.", "masker.net.1."),
        ("masker.blocks.2.0.", "masker.net.2."),
        ("masker.bottleneck.norm.", "masker.bottleneck.0."),
        ("masker.bottleneck.conv.", "masker.bottleneck.1."),
        ("masker.mask_nets.{}.", "masker."),
    ]
    for depth, time in [(1, 1001), (2, 16), (3, 800)]:
        theirs = DPRNNTasNet(n_src=2, n_repeats=depth, **DPRNN)
        theirs.load_state_dict(to_asteroid(model.state_dict(), depth, places[:depth] + places[3:]))
        wav = torch.randn(2, 1, time)
        assert close(model(wav, n_blocks=depth), theirs.eval()(wav))


@torch.no_grad()
def test_transformer_layer_is_pytorchs():
    ours = randomised(TransformerLayer(8, n_heads=2, ff_chan=12))
    theirs = nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0.0, layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).train()  # in eval mode it takes another path
    places = [
        ("norm_attn.", "norm1."),
        ("norm_ff.", "norm2."),
        ("qkv.", "self_attn.in_proj_"),
        ("out.", "self_attn.out_proj."),
        ("ff.0.", "linear1."),
        ("ff.2.", "linear2."),
    ]
    theirs.load_state_dict(to_asteroid(ours.state_dict(), 0, places))
    x = torch.randn(3, 7, 8)
    assert close(ours(x), theirs(x))


@torch.no_grad()
def test_sepformer_knows_the_order_of_frames():
    """Without positions, a transformer gives permuted frames permuted outputs."""
    block = randomised(BloomSepformer(**SEPFORMER)).masker.blocks[0]
    latent = torch.randn(1, 8, 10, 4)
    swapped = latent[:, :, torch.randperm(10)]
    assert not close(block(swapped).sort(2).values, block(latent).sort(2).values)


@torch.no_grad()
@pytest.mark.parametrize(
    "model",
    [
        BloomConvTasNet(n_blocks=3, **CONV),
        BloomDPRNN(n_blocks=3, **DPRNN),
        BloomSepformer(n_blocks=3, **SEPFORMER),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_exit_does_no_work_of_later_blocks(model):
    wav = torch.randn(1, 1, 1600)
    flops = [count_flops(lambda k=k: model.eval()(wav, n_blocks=k)) for k in (1, 2, 3)]
    tf_rep = model.forward_encoder(wav)
    latent = model.masker.bottleneck(tf_rep)
    block = count_flops(lambda: model.masker.blocks[1](latent))
    assert block > 0
    assert [b - a for a, b in pairwise(flops)] == [block, block]
    assert flops == [count_flops(lambda k=k: model.truncate(k)(wav)) for k in (1, 2, 3)]


@pytest.mark.parametrize(
    ("model_class", "args", "words"),
    [
        (BloomConvTasNet, dict(conv_kernel_size=4), "conv_kernel_size"),
        (BloomDPRNN, dict(chunk_size=4, hop_size=5), "hop_size"),
        (BloomSepformer, dict(bn_chan=10, n_heads=4), "n_heads"),
        (BloomSepformer, dict(bn_chan=9, n_heads=3), "even"),
    ],
)
def test_sizes_that_make_no_model_are_named(model_class, args, words):
    with pytest.raises(ValueError, match=words):
        model_class(**args)
