"""Costs of operating points: counts that can be worked out by hand, and their order."""

import pytest
import torch
from asteroid.models import ConvTasNet

from asteroid_latref import IterSudoRmRf
from asteroid_latref.profile import count_macs, format_table, n_parameters, profile_model

SIZES = {"bn_chan": 8, "hid_chan": 16, "n_filters": 12, "upsampling_depth": 2, "n_sub_blocks": 1}


@pytest.fixture
def model():
    return IterSudoRmRf(2, **SIZES, n_blocks=2, n_iters=2, exits="all")


def test_macs_are_those_of_the_convolutions():
    model = IterSudoRmRf(2, **SIZES, decoder="joint")
    frames = 32  # 320 samples at stride 10
    with torch.no_grad():
        macs = count_macs(lambda: model(torch.randn(1, 1, 320)))
    encoder = 12 * 21 * frames
    bottleneck = 12 * 8 * frames
    block = 2 * 8 * 16 * frames + 16 * 5 * (frames + frames // 2)
    exit_ = 8 * 24 * frames + 24 * 2 * 21 * frames
    assert macs == encoder + bottleneck + block + exit_


def test_iterations_cost_macs_and_no_parameters_or_memory(model):
    rows = profile_model(model, seconds=0.1, repeats=0)
    assert [(r["n_blocks"], r["n_iters"]) for r in rows] == [
        (1, [1]), (1, [2]), (2, [1, 1]), (2, [2, 2]),
    ]  # fmt: skip
    once, twice, *_ = rows
    assert once["parameters"] == twice["parameters"] == n_parameters(model.truncate(1))
    assert once["peak_memory_bytes"] == twice["peak_memory_bytes"] > 0
    block = rows[2]["macs"] - once["macs"]
    assert twice["macs"] - once["macs"] == block and rows[3]["macs"] == once["macs"] + 3 * block
    assert all(row["real_time_factor"] is None for row in rows)


def test_other_models_have_one_row_and_mode_is_kept():
    other = ConvTasNet(2, n_blocks=1, n_repeats=1, n_filters=8, bn_chan=8, hid_chan=8, skip_chan=8)
    other.train()
    (row,) = profile_model(other, seconds=0.1, repeats=1)
    assert other.training and row["macs"] > 0 and row["real_time_factor"] > 0
    assert len(format_table([row]).splitlines()) == 2


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"batch": 0}])
def test_nothing_to_run_is_refused(model, wrong):
    with pytest.raises(ValueError, match="positive"):
        profile_model(model, **wrong)
