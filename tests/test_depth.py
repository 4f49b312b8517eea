import json

import pytest
import torch
import yaml

from asteroid_latref import BloomConvTasNet
from asteroid_latref.depth import exit_rows, format_table, main, storage
from asteroid_latref.engine.train import save_model
from asteroid_latref.evaluate import main as evaluate_main

from .tiny import make_conf, make_corpus

SIZES = dict(n_blocks=3, bn_chan=6, hid_chan=8, n_filters=12)


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """What stages 3 and 4 leave of a fine-tuned model, without the training."""
    folder = tmp_path_factory.mktemp("depth")
    json_dir = make_corpus(folder)
    exp_dir = folder / "exp"
    for part in ("step3", "finetune", "."):
        (exp_dir / part).mkdir(parents=True, exist_ok=True)
        save_model(BloomConvTasNet(**SIZES), exp_dir / part / "best_model.pth")
    conf = make_conf(folder, json_dir).as_dict()
    (exp_dir / "conf.yml").write_text(yaml.safe_dump(conf))
    options = ["--exp_dir", str(exp_dir), "--test_dir", str(json_dir / "tt")]
    assert main(options) == 2, "not evaluated yet"
    assert evaluate_main([*options, "--n_examples", "0", "--device", "cpu"]) == 0
    assert main(options) == 0
    return exp_dir


def test_cost_and_quality_of_every_exit(experiment):
    found = json.loads((experiment / "depth.json").read_text())
    final = json.loads((experiment / "final_metrics.json").read_text())
    rows = found["curves"]["after fine-tuning"]
    model = BloomConvTasNet(**SIZES)
    for k, row, measured in zip((1, 2, 3), rows, final["exits"], strict=True):
        assert row["n_blocks"] == k and row["si_sdr_imp"] == measured["si_sdr_imp"]
        assert row["parameters"] == size(model.truncate(k))
        assert row["stored_parameters"] == size(model.truncate(k, exits="all"))
        assert row["real_time_factor"] > 0
    costs = [row["macs_per_second"] for row in rows]
    assert costs[1] - costs[0] == pytest.approx(costs[2] - costs[1]) and costs[0] < costs[1]
    assert (experiment / "quality_cost.png").read_bytes().startswith(b"\x89PNG")


def test_before_fine_tuning_is_the_last_step(experiment):
    found = json.loads((experiment / "depth.json").read_text())
    before = found["curves"]["before fine-tuning"]
    step = json.loads((experiment / "step3" / "final_metrics.json").read_text())
    assert [row["si_sdr"] for row in before] == [row["si_sdr"] for row in step["exits"]]
    assert before[0]["si_sdr"] != found["curves"]["after fine-tuning"][0]["si_sdr"]
    table = format_table(found)
    assert "before fine-tuning:" in table and f"{size(BloomConvTasNet(**SIZES)):,}" in table


def test_storage_of_one_against_many():
    model = BloomConvTasNet(**SIZES)
    separate = [BloomConvTasNet(**{**SIZES, "n_blocks": n, "exits": "last"}) for n in (1, 2, 3)]
    assert storage(model) == {"scalable": size(model), "separate": sum(map(size, separate))}


@torch.no_grad()
def test_a_model_with_one_exit_has_one_row():
    model = BloomConvTasNet(**{**SIZES, "exits": "last"})
    rows = exit_rows(model, [{"n_blocks": 3, "si_sdr": 1.0, "si_sdr_imp": 2.0}], repeats=0)
    assert len(rows) == 1 and rows[0]["parameters"] == rows[0]["stored_parameters"] == size(model)
