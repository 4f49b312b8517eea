import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from asteroid.losses import pairwise_neg_sisdr
from asteroid.models import BaseModel

from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.conf import build_model
from asteroid_latref.errors import LatrefError
from asteroid_latref.evaluate import evaluate, format_table, main, separated
from asteroid_latref.models import IterSudoRmRf
from asteroid_latref.pictures import loss_picture
from asteroid_latref.publish import publish

from .tiny import RATE, SPLITS, make_conf, make_corpus

SIZES = dict(n_sub_blocks=1, bn_chan=8, hid_chan=8, upsampling_depth=2, n_filters=16)


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def model():
    return IterSudoRmRf(n_src=3, n_blocks=2, exits="all", **SIZES)


def whole_files(json_dir, task="sep_noisy"):
    return WhamDataset(json_dir / "tt", task, RATE, segment=None)


class Oracle(torch.nn.Module):
    """A model that knows the answer: the targets with the speakers swapped, at any gain."""

    n_iters, exit_blocks = (1, 2), (1, 2)

    def __init__(self, targets):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))
        self.targets = targets

    def forward_exits(self, mixture):
        noisy = self.targets + 0.5 * mixture
        return [self.gain * est[None, [1, 0, 2]] for est in (noisy, 7 * self.targets)]


def test_estimates_come_back_in_the_order_of_the_targets(json_dir):
    mixture, targets = whole_files(json_dir)[0]
    first, last = separated(Oracle(targets), mixture, targets, n_speech=2)
    torch.testing.assert_close(last, 7 * targets)
    torch.testing.assert_close(first, targets + 0.5 * mixture)


def test_figures_are_means_over_speech_items_and_exits(tmp_path, json_dir, model):
    dataset = whole_files(json_dir)
    final = evaluate(model, dataset, tmp_path, n_examples=0)
    rows = pd.read_csv(tmp_path / "all_metrics.csv")
    assert len(rows) == SPLITS["tt"] * 2 and final["n_items"] == SPLITS["tt"]
    for place, n_blocks in enumerate(model.exit_blocks):
        gains = []
        for mixture, targets in dataset:
            est = separated(model, mixture, targets, dataset.n_speech)[place]
            out, start = (
                -pairwise_neg_sisdr(x[None, :2], targets[None, :2]).diagonal(dim1=1, dim2=2)
                for x in (est, mixture.expand_as(targets))
            )
            gains.append(float((out - start).mean()))
        row = final["exits"][place]
        assert row["n_blocks"] == n_blocks and row["n_iters"] == [1] * n_blocks
        assert row["si_sdr_imp"] == pytest.approx(np.mean(gains), abs=1e-3)
        mean = rows[rows["n_blocks"] == n_blocks]["si_sdr_imp"].mean()
        assert row["si_sdr_imp"] == pytest.approx(mean)
        assert row["si_sdr"] - row["input_si_sdr"] == pytest.approx(row["si_sdr_imp"])
    assert final["si_sdr_imp"] == final["exits"][-1]["si_sdr_imp"]


def test_what_was_measured_on_what_is_written_beside_the_figures(tmp_path, json_dir, model):
    conf = {"training": {"seed": 3}}
    final = evaluate(model, whole_files(json_dir), tmp_path, n_examples=0, conf=conf)
    assert json.loads((tmp_path / "final_metrics.json").read_text()) == final
    assert final["data"]["task"] == "sep_noisy" and final["conf"]["training"]["seed"] == 3
    assert final["model"]["args"] == {**model.get_model_args()}
    assert {"torch", "asteroid", "asteroid-latref", "python"} <= final["versions"].keys()
    table = format_table(final)
    for word in ("IterSudoRmRf", "sep_noisy", "3 mixtures", f"{final['si_sdr_imp']:.2f}"):
        assert word in table


def test_one_item_is_enough_and_the_last_examples_are_kept(tmp_path, json_dir, model):
    final = evaluate(model, whole_files(json_dir), tmp_path, n_items=1, n_examples=5)
    assert final["n_items"] == 1
    (example,) = (tmp_path / "examples").iterdir()
    sounds = {path.stem: soundfile.read(path)[0] for path in example.glob("*.wav")}
    assert sounds.keys() == {
        "mixture",
        *(f"{s}{e}" for s in ("s1", "s2", "noise") for e in ("", "_est")),
    }
    assert len({len(wav) for wav in sounds.values()}) == 1
    assert (example / "spectrogram.png").read_bytes().startswith(b"\x89PNG")


def test_further_metrics_of_asteroid_are_there_when_asked_for(tmp_path, json_dir, model):
    final = evaluate(model, whole_files(json_dir), tmp_path, ["stoi", "sdr"], 0, n_items=1)
    names = {f"{p}{m}{s}" for m in ("si_sdr", "stoi", "sdr") for p, s in (("input_", ""), ("", ""))}
    assert names | {"stoi_imp", "sdr_imp"} <= final.keys()
    assert not (tmp_path / "examples").exists()
    with pytest.raises(LatrefError, match="unknown metric 'loudness'"):
        evaluate(model, whole_files(json_dir), tmp_path, ["loudness"])


def test_silent_targets_are_skipped_and_counted(tmp_path, json_dir, model):
    dataset = whole_files(json_dir)
    items = [dataset[i] for i in range(len(dataset))]
    items[1] = (items[1][0], items[1][1] * torch.tensor([[0.0], [1.0], [1.0]]))
    dataset.__class__ = type("Fixed", (WhamDataset,), {"__getitem__": lambda self, i: items[i]})
    final = evaluate(model, dataset, tmp_path, n_examples=0)
    assert final["n_skipped"] == 1 and np.isfinite(final["si_sdr_imp"])


def test_a_published_experiment_loads_with_the_safe_loader(tmp_path, json_dir):
    from asteroid_latref.engine.experiment import train_experiment

    exp_dir = tmp_path / "exp"
    with pytest.raises(LatrefError, match=r"best_model\.pth: not there"):
        publish(exp_dir)
    conf = make_conf(tmp_path, json_dir, "--epochs", "1")
    train_experiment(conf, exp_dir)
    with pytest.raises(LatrefError, match="evaluate first"):
        publish(exp_dir)
    test_dir = str(json_dir / "tt")
    assert main(["--exp_dir", str(exp_dir), "--test_dir", test_dir, "--n_examples", "0"]) == 0
    assert (exp_dir / "loss.png").read_bytes().startswith(b"\x89PNG")
    path = publish(exp_dir)
    published = torch.load(path, weights_only=True)
    assert published["infos"]["training_config"]["data"]["task"] == published["task"]
    assert published["infos"]["final_metrics"]["si_sdr_imp"] is not None
    assert published["licenses"] and published["dataset"]
    wav = torch.randn(1, 4000)
    again = BaseModel.from_pretrained(str(path)).eval()
    reference = build_model(conf).eval()
    reference.load_state_dict(published["state_dict"])
    assert torch.equal(again(wav), reference(wav))


def test_the_command_names_what_is_missing(tmp_path, json_dir, capsys):
    arguments = ["--exp_dir", str(tmp_path), "--test_dir", str(json_dir / "tt")]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}")
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    with pytest.raises(LatrefError, match="no loss history"):
        loss_picture(tmp_path / "loss.png", tmp_path / "history.csv")
    assert not (tmp_path / "loss.png").exists()
