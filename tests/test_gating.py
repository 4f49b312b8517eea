"""The report on a gate: its figures are those of the model, its files are there."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from asteroid_latref import GatedSudoRmRf
from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.train import save_model
from asteroid_latref.gating import bias_curve, format_table, main, measure, report, summarize
from asteroid_latref.longform.windows import plan_windows
from asteroid_latref.separate import SeparateOptions, separate_array

from .tiny import CONF, make_corpus

SIZE = dict(n_src=2, bn_chan=8, hid_chan=8, upsampling_depth=2, n_filters=16, gate_kernel=100)


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def dataset(json_dir):
    return WhamDataset(json_dir / "tr", "enh_single", segment=None)


@pytest.fixture
def model(dataset):
    """A gate that stops some of the items."""
    torch.manual_seed(1)
    model = GatedSudoRmRf(**SIZE).eval()
    for parameter in model.masker.gate.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        wavs = [dataset[i][0][None, None] for i in range(len(dataset))]
        latents = [model.masker.bottleneck(model.forward_encoder(wav)) for wav in wavs]
        margins = torch.cat([model.masker.gate.margin(latent) for latent in latents])
    model.gate_bias = -float(margins.median())
    return model


def test_rows_are_what_the_model_does(model, dataset):
    table = measure(model, dataset)
    assert len(table["n_steps"].unique()) > 1
    for i in (0, 7):
        mixture, targets = dataset[i]
        with torch.no_grad():
            est, n_steps = model.separate_with_steps(mixture)
        energy = targets.square().sum(-1)
        row = table.iloc[i]
        assert row["n_steps"] == int(n_steps)
        assert row["input_snr"] == pytest.approx(float(10 * torch.log10(energy[0] / energy[1])))
        centred = [x - x.mean() for x in (targets[0], est[0], mixture)]
        gains = []
        for x in centred[1:]:
            part = (x @ centred[0]) / (centred[0] @ centred[0]) * centred[0]
            gains.append(10 * torch.log10(part.square().sum() / (x - part).square().sum()))
        assert row["si_sdr_imp"] == pytest.approx(float(gains[0] - gains[1]), abs=1e-2)


def test_bias_curve_goes_through_gate_and_fixed_points(model, dataset):
    curve = bias_curve(model, dataset, biases=[-1e9, 0.0, 1e9])
    shut, as_trained, open_ = curve["bias"]
    gated, full = summarize(measure(model, dataset)), summarize(measure(model.ungated(), dataset))
    for figure in ("mean_steps", "si_sdr_imp"):
        assert as_trained[figure] == pytest.approx(gated[figure], abs=1e-2)
        assert open_[figure] == pytest.approx(full[figure], abs=1e-2)
        assert curve["fixed"][-1][figure] == pytest.approx(open_[figure])
        assert curve["fixed"][0][figure] == pytest.approx(shut[figure])
    assert curve["fixed"][2]["si_sdr_imp"] == pytest.approx(
        summarize(measure(model.ungated(2), dataset))["si_sdr_imp"], abs=1e-2
    )
    assert curve["oracle"]["si_sdr_imp"] >= max(p["si_sdr_imp"] for p in curve["fixed"])


def test_report_writes_table_summary_and_pictures(model, dataset, tmp_path):
    summary = report({"gated": model, "fixed 4": model.ungated()}, dataset, tmp_path, n_items=6)
    table = pd.read_csv(tmp_path / "gating.csv")
    assert table.groupby("model")["item"].nunique().to_dict() == {"gated": 6, "fixed 4": 6}
    stored = json.loads((tmp_path / "gating.json").read_text())
    assert stored["models"]["fixed 4"]["shares"] == {"4": 1.0}
    assert sum(stored["models"]["gated"]["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert "| fixed 4 | 4.00 |" in format_table(summary["models"])
    for name in ("gating_by_snr.png", "gating_curve.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_command_needs_a_gate(model, json_dir, tmp_path, capsys):
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(CONF))
    arguments = ["--exp_dir", str(tmp_path), "--test_dir", str(json_dir / "tt")]
    save_model(model.ungated(), tmp_path / "best_model.pth")
    assert main(arguments) == 2
    assert "IterSudoRmRf, which has no gate" in capsys.readouterr().err
    save_model(model, tmp_path / "best_model.pth")
    save_model(model.ungated(3), tmp_path / "fixed3" / "joint" / "best_model.pth")
    assert main(arguments) == 0
    assert "| fixed 3 | 3.00 |" in capsys.readouterr().out


@torch.no_grad()
def test_gate_acts_on_every_window_of_a_long_recording(model):
    rng = np.random.default_rng(0)
    wav = rng.standard_normal(40_000).astype(np.float32)
    wav[:20_000] = np.sin(np.arange(20_000) / 5) + 0.01 * wav[:20_000]
    options = SeparateOptions(window=1.0, overlap=0.25, fade=0.1, batch=3)
    windows = [torch.from_numpy(wav[None, None, a:b]) for a, b in plan_windows(40_000, 8000, 2000)]
    latents = [model.masker.bottleneck(model.forward_encoder(window)) for window in windows]
    margins = torch.cat([model.masker.gate.margin(latent) for latent in latents])
    model.gate_bias -= float(margins.median()) + 1e-4
    _, steps = separate_array(model, wav, options)
    alone = [model.separate_with_steps(window)[1].tolist() for window in windows]
    assert steps == alone
    assert len({n for window in steps for n in window}) > 1
