"""IterSudoRmRf: the sizes of the paper, iteration as repeated passes, agreement with Asteroid."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from asteroid.models import SuDORMRFImprovedNet

from asteroid_latref import IterSudoRmRf
from asteroid_latref.masknn.norms import GlobLN
from asteroid_latref.models.convert import from_asteroid, from_sudo_rm_rf

TINY = dict(n_src=2, n_sub_blocks=2, bn_chan=8, hid_chan=16, upsampling_depth=3, n_filters=16)

# LIR Table 1, exact: everything but the gLN gains and biases.
TABLE_1 = {
    (1, 1, 1): (398_595, 518_403),
    (1, 1, 2): (398_595, 518_403),
    (1, 1, 3): (398_595, 518_403),
    (1, 1, 4): (398_595, 518_403),
    (1, 1, 16): (398_595, 518_403),
    (1, 4, 1): (839_817, 959_625),
    (1, 4, 2): (839_817, 959_625),
    (1, 4, 3): (839_817, 959_625),
    (1, 4, 4): (839_817, 959_625),
    (1, 8, 1): (1_428_113, 1_547_921),
    (2, 4, 2): (1_428_113, 1_547_921),
    (1, 16, 1): (2_604_705, 2_724_513),
}


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp_min(1e-12))


def count_without_norms(model: torch.nn.Module) -> int:
    norms = [m for m in model.modules() if isinstance(m, GlobLN)]
    in_norms = sum(p.numel() for m in norms for p in m.parameters())
    return sum(p.numel() for p in model.parameters()) - in_norms


@pytest.mark.parametrize("sizes", TABLE_1, ids=str)
def test_parameter_counts_of_table_1(sizes):
    n_blocks, n_sub_blocks, n_iters = sizes
    with torch.device("meta"):
        counts = tuple(
            count_without_norms(IterSudoRmRf(n_src, n_blocks, n_sub_blocks, n_iters))
            for n_src in (2, 3)
        )
    assert counts == TABLE_1[sizes]


@torch.no_grad()
def test_n_iterations_are_n_passes_of_the_block():
    model = IterSudoRmRf(**TINY, n_blocks=2, n_iters=[3, 1], exits="all").eval()
    wav = torch.randn(2, 1, 400)
    tf_rep = model.forward_encoder(wav)
    latent = model.masker.bottleneck(tf_rep)
    for block, n in zip(model.masker.blocks, [3, 1], strict=True):
        for _ in range(n):
            latent = block(latent)
    masks = model.masker.masks(2, latent, tf_rep.shape[-1])
    by_hand = model.forward_decoder(model.apply_masks(tf_rep, masks))[..., :400]
    assert torch.equal(model(wav), by_hand)
    assert torch.equal(model(wav, n_iters=[3, 1]), by_hand)
    assert not torch.allclose(model(wav, n_iters=1), by_hand)


def test_iterated_weights_are_counted_once():
    counts = {sum(p.numel() for p in IterSudoRmRf(**TINY, n_iters=n).parameters()) for n in (1, 5)}
    assert len(counts) == 1


def test_checkpointed_iterations_give_the_same_gradients():
    torch.manual_seed(0)
    plain = IterSudoRmRf(**TINY, n_iters=5)
    checkpointed = IterSudoRmRf(**TINY, n_iters=5, checkpoint_iters=True)
    checkpointed.load_state_dict(plain.state_dict())
    wav = torch.randn(2, 1, 400)
    for model in (plain, checkpointed):
        model(wav).square().sum().backward()
    for a, b in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        assert relative_error(b.grad, a.grad) < 1e-5


def test_operating_points_are_all_runnable():
    model = IterSudoRmRf(**TINY, n_blocks=2, n_iters=[2, 1], exits="all")
    points = model.operating_points()
    assert points == [(1, (1,)), (1, (2,)), (2, (1, 1)), (2, (2, 1))]
    for n_blocks, n_iters in points:
        assert model(torch.randn(200), n_blocks=n_blocks, n_iters=n_iters).shape == (2, 200)


@pytest.mark.parametrize("n_iters", [0, -1, [1], [1, 2, 3], 1.5, [True, 1]], ids=str)
def test_bad_iteration_counts(n_iters):
    with pytest.raises((ValueError, TypeError)):
        IterSudoRmRf(**TINY, n_blocks=2, n_iters=n_iters)


def randomize_vectors(model: torch.nn.Module) -> None:
    """Biases, gains and slopes start at values that would hide a swapped key."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=0.3, std=0.5)


@torch.no_grad()
@pytest.mark.parametrize("kernel_size", [21, 11, 16])
def test_agrees_with_asteroid(kernel_size):
    torch.manual_seed(1)
    theirs = SuDORMRFImprovedNet(
        2, bn_chan=12, num_blocks=2, n_filters=24, kernel_size=kernel_size, upsampling_depth=4
    ).eval()
    randomize_vectors(theirs)
    ours = from_asteroid(theirs)
    for time in [1, 2, 79, 80, 81, 159, 160, 161, 1000, 12_345]:
        wav = torch.randn(2, 1, time)
        assert relative_error(ours(wav), theirs(wav)) < 1e-5, time


def golden(name: str):
    folder = os.environ.get("LATREF_GOLDEN_DIR")
    if not folder:
        pytest.skip("LATREF_GOLDEN_DIR is not set: no reference vectors of the authors' code")
    arrays = np.load(Path(folder) / name, allow_pickle=False)
    weights = {k[2:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("w/")}
    return weights, {k: torch.from_numpy(arrays[k]) for k in ("x", "y")}


@torch.no_grad()
def test_agrees_with_the_authors():
    weights, vectors = golden("improved_sudormrf_authors.npz")
    model = from_sudo_rm_rf(weights)
    assert relative_error(model(vectors["x"]), vectors["y"]) < 1e-5


def authors_names(model: IterSudoRmRf) -> dict[str, torch.Tensor]:
    """The authors' key names for the weights of a one-block model."""
    pairs = [
        ("encoder.filterbank._filters", "encoder.weight"),
        ("masker.bottleneck.0.", "ln."),
        ("masker.bottleneck.1.", "bottleneck."),
        ("masker.blocks.0.", "sm."),
        ("masker.mask_nets.1.net.", "mask_net."),
        ("decoder.1.weight", "decoder.weight"),
    ]
    renamed = {}
    for key, value in model.state_dict().items():
        for ours, theirs in pairs:
            if key.startswith(ours):
                renamed["module." + key.replace(ours, theirs, 1)] = value
    return renamed


@torch.no_grad()
def test_sizes_are_read_off_the_shapes():
    model = IterSudoRmRf(**TINY, n_iters=3).eval()
    converted = from_sudo_rm_rf(authors_names(model), n_iters=3)
    assert converted.get_model_args() == model.get_model_args()
    wav = torch.randn(1, 500)
    assert torch.equal(converted(wav), model(wav))


def test_foreign_weights_are_named():
    with pytest.raises(ValueError, match=r"lstm\.weight"):
        from_sudo_rm_rf({"lstm.weight": torch.zeros(3)})
    with pytest.raises(ValueError, match="improved Sudo rm -rf"):
        from_sudo_rm_rf({"encoder.weight": torch.zeros(4, 1, 3)})
