"""The models that come with the package: each does what its card and its golden outputs say."""

import configparser
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard

from asteroid_latref.bundled import WEIGHTS_DIR, bundled_names
from asteroid_latref.bundling import MOST_IN_ALL, MOST_PER_MODEL, check_shippable
from asteroid_latref.card import results
from asteroid_latref.catalog import as_markdown, describe_bundled
from asteroid_latref.credits import license_note
from asteroid_latref.data.wham import get_task
from asteroid_latref.examples import PARTS, examples_dir, load_examples
from asteroid_latref.gating import si_sdr
from asteroid_latref.golden import golden_outputs, read_golden
from asteroid_latref.models import LatentRefinementModel
from asteroid_latref.models.serialization import WEIGHT_FILES, model_class_of

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"
NAMES = bundled_names()
shipped = pytest.mark.parametrize("name", NAMES)
needs_models = pytest.mark.skipif(not NAMES, reason="no models in this copy")


def stored(name):
    return torch.load(WEIGHTS_DIR / name / "model.pth", map_location="cpu", weights_only=True)


def card(name):
    return ModelCard.load(WEIGHTS_DIR / name / "README.md")


def test_the_four_models_are_there():
    names = {"enh-scalable-8k", "enh-gated-8k", "sep-iter-8k", "enh-bloom-convtasnet-8k"}
    assert names <= set(NAMES)


@shipped
def test_every_exit_is_at_least_as_good_as_the_one_before(name):
    quality = [row["si_sdr_imp"] for row in results(stored(name))]
    assert quality == sorted(quality)


@shipped
def test_the_test_mixtures_sound_better_afterwards(name):
    model = LatentRefinementModel.from_pretrained(f"latref/{name}").eval()
    gains = []
    for example in load_examples(model.task, int(model.sample_rate)):
        speech = example.targets[: get_task(model.task).n_speech]
        with torch.inference_mode():
            after = si_sdr(model(example.mixture), speech)
        gains.append(after - si_sdr(example.mixture.expand_as(speech), speech))
    assert np.mean(gains) > 1.0


@shipped
def test_loads_as_the_class_it_says(name):
    conf = stored(name)
    model = model_class_of(conf, name).from_pretrained(f"latref/{name}")
    assert type(model).__name__ == conf["model_name"] and model.task == conf["task"]
    assert all(torch.isfinite(p).all() for p in model.parameters())


@shipped
def test_golden_outputs(name):
    path = GOLDEN / f"{name}.npz"
    expected = read_golden(path)
    found = golden_outputs(LatentRefinementModel.from_pretrained(f"latref/{name}"))
    assert path.stat().st_size < 100_000 and found.keys() == expected.keys()
    for key, value in expected.items():
        assert np.abs(value).max() > 1e-3, key
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-4, err_msg=key)


@shipped
def test_card_and_file_agree(name):
    conf, said = stored(name), card(name)
    rows = results(conf)
    in_card = [r.metric_value for r in said.data.eval_results if r.metric_type == "si-sdri"]
    assert sorted(in_card) == sorted(round(row["si_sdr_imp"], 4) for row in rows) and rows
    table = said.text.split("## Results")[1].split("\n## ")[0]
    for row in rows:
        figures = f"| {row['si_sdr_imp']:.2f} | {row['si_sdr']:.2f} |"
        assert figures in table and (len(rows) == 1 or f"| {row['n_blocks']} {figures}" in table)
    run = conf["infos"]["training_run"]
    assert f"```bash\n{run['command']}\n```" in said.text and "./run.sh" in run["command"]
    assert f"Optimizer steps: {run['optimizer_steps']:,} in {run['epochs']} epochs" in said.text
    assert run["optimizer_steps"] > 0 and run["hardware"] in said.text
    assert license_note(name, conf["licenses"]) in said.text and conf["licenses"]
    assert f"latref separate latref/{name} recording.wav" in said.text
    assert all(f"- {limit}" in said.text for limit in conf["infos"]["limits"])


@shipped
def test_nothing_of_the_machine_it_was_trained_on(name):
    check_shippable({**stored(name), "card": card(name).content})


@shipped
def test_sizes(name):
    folder = WEIGHTS_DIR / name
    assert {path.name for path in folder.iterdir()} == {"model.pth", "README.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MOST_PER_MODEL


def test_all_together():
    files = [path for path in WEIGHTS_DIR.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_IN_ALL
    goldens = {path.stem for path in GOLDEN.glob("*.npz")}
    assert goldens == set(NAMES) and "model.pth" in WEIGHT_FILES


def test_every_file_is_package_data():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = config["options.package_data"]["asteroid_latref"].split()
    packed = {path for pattern in patterns for path in WEIGHTS_DIR.parent.glob(pattern)}
    files = {path for path in WEIGHTS_DIR.rglob("*") if path.is_file()}
    assert files <= packed and "weights/*/model.pth" in patterns
    assert {"weights/*/README.md", "weights/examples/*/*.flac"} <= set(patterns)


def test_the_table_in_the_docs_is_that_of_the_files():
    path = ROOT / "docs" / "results" / "bundled.inc"
    assert path.read_text() == as_markdown(describe_bundled())


@needs_models
@pytest.mark.parametrize("task", ["enh_single", "sep_noisy"])
def test_the_test_mixtures_are_there(task):
    examples = load_examples(task, 8000)
    assert [e.name for e in examples] == ["lower_quartile", "median", "upper_quartile"]
    for example in examples:
        torch.testing.assert_close(example.mixture, example.targets.sum(0), atol=1e-4, rtol=0)
        assert len(list((examples_dir() / example.name).iterdir())) == len(PARTS)
    assert "## Licence" in (examples_dir() / "README.md").read_text()
