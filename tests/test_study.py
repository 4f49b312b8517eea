"""The study: equal steps for all, resumed and never repeated; its tables are its figures."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from asteroid_latref.bundled import bundled_names
from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.conf import build_model, load_conf
from asteroid_latref.errors import LatrefError
from benchmarks import bundled_models, study, study_tables
from benchmarks.measuring import kinds, measure
from benchmarks.rival_models import OneExit, build_asteroid, build_trained, to_asteroid
from benchmarks.rivals import RNNoise, Untrained
from benchmarks.steps import steps_of
from benchmarks.study_cells import NOT_RUN, circumstances
from benchmarks.study_data import Study, front
from benchmarks.study_grid import GROUPS, folder, grid, load_sizes, select
from benchmarks.study_runs import BusyError, locked

from .study_records import make_records, make_untrained
from .tiny import make_corpus

RESULTS = Path(__file__).parents[1] / "docs" / "results"
TINY = "-- --n_mixtures 0 --segment 0.3 --bn_chan 8 --hid_chan 8 --n_filters 16".split()
TINY += ["--accelerator", "cpu"]


@pytest.fixture(scope="module")
def runs():
    return grid(load_conf(study.CONF), load_sizes(), epochs=41, seed=3)


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def test_every_run_sees_the_same_steps_and_data(runs):
    for run in runs.values():
        build = build_trained if run.kind == "rival" else build_model
        assert sum(step.epochs for step in steps_of(run.conf, build)) == run.epochs() == 41
        assert run.conf.training.seed == 3 and run.conf.training.batch_size == 4
    same = {(r.conf.data, r.conf.optim.lr) for r in runs.values() if "sep_" not in r.name}
    assert len(same) == 1
    assert {run.group for run in runs.values()} == set(GROUPS)


def test_runs_are_told_apart_by_name_and_seed(runs):
    assert list(select(runs, ["gate/*", "bloom/scalable"]))[-1] == "bloom/scalable"
    with pytest.raises(LatrefError, match="gaet"):
        select(runs, ["gaet/*"])
    places = {folder("exp", name, seed) for name in runs for seed in (0, 1)}
    assert len(places) == 2 * len(runs)


def test_bundled_models_stand_beside_the_study_and_not_in_it(json_dir, tmp_path):
    places = ["--json_dir", str(json_dir), "--out", str(tmp_path / "study_bundled.json")]
    assert bundled_models.main([*places, "--n_items", "2"]) == 0
    found = Study.of_folder(tmp_path)
    rows = found.bundled("enh_single")
    assert {row.name.split("/")[1] for row in rows} | {"sep-iter-8k"} == set(bundled_names())
    assert found.ours("enh_single") == [] and circumstances(found) == NOT_RUN
    exits = {row.n_blocks: row.mean("parameters") for row in rows if "scalable" in row.name}
    assert list(exits) == [1, 2, 3, 4] and list(exits.values()) == sorted(exits.values())
    assert all(row.steps > 1000 and row.mean("real_time_factor") > 0 for row in rows)


def call(json_dir, exp_dir, *options):
    places = ["--json_dir", str(json_dir), "--exp_dir", str(exp_dir)]
    return study.main([*places, "--out", str(exp_dir / "study.json"), *options, *TINY])


def test_a_run_is_trained_once_and_refused_with_other_settings(json_dir, tmp_path, capsys):
    only = ["--only", "iterations/1x1x2"]
    assert call(json_dir, tmp_path, *only, "--steps", "2") == 0
    (record,) = json.loads((tmp_path / "study.json").read_text())["runs"]
    assert record["steps"][0]["optimizer_steps"] == 2
    (one,) = record["results"][0]["exits"]
    final = json.loads((tmp_path / "iterations/1x1x2/test/final_metrics.json").read_text())
    assert one["si_sdr_imp"] == final["si_sdr_imp"] and one["parameters"] > 0
    assert one["si_sdr_imp_error"] > 0 and one["real_time_factor"] > 0
    assert str(json_dir) not in json.dumps(record)
    before = (tmp_path / "iterations/1x1x2/record.json").stat().st_mtime_ns
    assert call(json_dir, tmp_path, *only, "--steps", "2") == 0
    assert (tmp_path / "iterations/1x1x2/record.json").stat().st_mtime_ns == before
    assert call(json_dir, tmp_path, *only, "--steps", "20") == 2
    assert "give the old value or another --exp_dir" in capsys.readouterr().err


def test_a_gate_takes_the_first_phase_of_the_fixed_model(json_dir, tmp_path):
    assert call(json_dir, tmp_path, "--only", "gate/price0.2", "--steps", "4") == 0
    records = json.loads((tmp_path / "study.json").read_text())["runs"]
    assert [record["name"] for record in records] == ["gate/fixed4", "gate/price0.2"]
    phases = [tmp_path / f"gate/{n}/pretrained/best_model.pth" for n in ("fixed4", "price0.2")]
    assert phases[0].read_bytes() == phases[1].read_bytes()
    steps = [sum(step["optimizer_steps"] for step in record["steps"]) for record in records]
    assert steps == [4, 4]
    items = pd.read_csv(tmp_path / "study_gate.csv")
    gated = items[items["run"] == "gate/price0.2"]
    assert gated["n_steps"].mean() == pytest.approx(records[1]["gate"]["mean_steps"])
    study_tables.write(Study(records), tmp_path, tmp_path, items)
    assert "gated, 0.2 dB" in (tmp_path / "study_gate.inc").read_text()


def test_another_process_keeps_its_run(json_dir, tmp_path, capsys):
    run_dir = tmp_path / "iterations/1x1x1"
    with locked(run_dir):
        with pytest.raises(BusyError), locked(run_dir):
            pass
        assert call(json_dir, tmp_path, "--only", "iterations/1x1x1", "--steps", "2") == 2
    assert "left to other processes: iterations/1x1x1" in capsys.readouterr().out


@torch.no_grad()
def test_a_rival_trained_as_ours_is_asteroids_with_its_weights(runs):
    conf = runs["rivals/sep_noisy_SuDORMRFImprovedNet"].conf
    trained = build_trained(conf).eval()
    for parameter in trained.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    wav = torch.randn(2, 3000)
    theirs = to_asteroid(trained, build_asteroid(conf)).eval()
    torch.testing.assert_close(theirs(wav), trained(wav), rtol=1e-4, atol=1e-4)


def test_rivals_are_measured_as_ours_are(runs, json_dir, tmp_path):
    test_set = WhamDataset(json_dir / "tt", "enh_single", segment=None)
    nothing = measure(tmp_path, test_set, Untrained(lambda wav: wav, 0, 8000))
    assert nothing["exits"][0]["si_sdr_imp"] == pytest.approx(0, abs=1e-4)
    conf = runs["rivals/enh_single_ConvTasNet"].conf
    model = build_asteroid(conf)
    found = measure(tmp_path, test_set, OneExit(model, {"sample_rate": 8000}))
    assert found["exits"][0]["parameters"] == sum(p.numel() for p in model.parameters())
    assert found["exits"][0]["macs_per_second"] > 0


def test_rnnoise_comes_in_time(json_dir):
    pytest.importorskip("pyrnnoise", exc_type=ImportError)
    rnnoise = RNNoise(8000).find_lag(WhamDataset(json_dir / "cv", "enh_single", segment=None))
    assert 0 < rnnoise.lag < 2400
    for size in (1, 799, 8000):
        assert rnnoise(torch.randn(size).numpy()).shape == (size,)


def test_kinds_of_noise_are_read_off_the_names():
    names = pd.Series(["a/b_c/00001_x_y_rain.wav", "00002_babble.wav", "a_b/3.wav"])
    assert kinds(names).fillna("").tolist() == ["rain", "babble", ""]


def test_tables_hold_means_and_spreads_over_the_seeds():
    records = make_records(seeds=(0, 1))
    found = Study([*records, make_untrained()])
    pair = [r["results"][0]["exits"][0]["si_sdr_imp"] for r in records if "1x4x3" in r["name"]]
    mean, spread = sum(pair) / 2, abs(pair[0] - pair[1]) / 2**0.5
    assert f"| 4 | 3 | 12 | 11,000 | 15.0 | 12.0 | 1.7 | {mean:.2f} ± {spread:.2f} |" in (
        study_tables.iterations(found)
    )
    for name, text in study_tables.tables(found).items():
        rows = [line.count("|") for line in text.split("\n\n")[0].splitlines()]
        assert len(set(rows)) == 1, name
    assert study_tables.progressive(found).count("\n") == 2 + 7 - 1
    assert "noisereduce, some way" in study_tables.rivals(found, "enh_single")
    assert "2000 optimizer steps for every run" in study_tables.circumstances(found)


def test_what_is_not_beaten_by_cheaper_rises_with_cost():
    rows = front(Study(make_records()).ours("enh_single"))
    for key in ("macs_per_second", "si_sdr_imp"):
        values = [row.mean(key) for row in rows]
        assert values == sorted(values) and len(values) > 2


def test_pictures_and_tables_of_the_page_are_those_of_the_figures(tmp_path):
    found = Study.of_folder(RESULTS)
    for name, text in study_tables.tables(found).items():
        assert (RESULTS / f"study_{name}.inc").read_text() == text + "\n", "run study_tables"
    study_tables.write(Study(make_records()), tmp_path, tmp_path)
    for name in ("study_quality.png", "study_gate_curve.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert study_tables.NOT_RUN in (tmp_path / "study_gate_snr_picture.inc").read_text()
