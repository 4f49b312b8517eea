"""A tiny experiment, trained and evaluated, and a folder of bundled models made of it."""

import json
from pathlib import Path

import pytest
from asteroid.models import base_models
from asteroid.utils import hub_utils

from asteroid_latref import bundled, evaluate
from asteroid_latref.bundling import bundle
from asteroid_latref.bundling_examples import bundle_examples
from asteroid_latref.data.licenses import license_dict
from asteroid_latref.engine.experiment import train_experiment

from .tiny import make_conf, make_corpus

COMMAND = "./run.sh --conf local/conf/tiny.yml --tag tiny"
CREDITS = {
    "speech": [license_dict("Tones", "https://tones.example", "Ann", "", ("CC BY 4.0", ""))],
    "noise": [license_dict("Hiss", "https://hiss.example", "Bo", "", ("CC BY-SA 4.0", ""))],
}


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """Folder of an experiment of two exits, and the manifests it was evaluated on."""
    folder = tmp_path_factory.mktemp("tiny")
    json_dir = make_corpus(folder)
    for split in ("tr", "cv", "tt"):
        corpus = {"name": "TinyCorpus", "licenses": CREDITS, "options": {"seed": 3, "n_tr": 10}}
        (json_dir / split / "corpus.json").write_text(json.dumps(corpus))
    exp_dir = folder / "exp"
    train_experiment(make_conf(folder, json_dir, "--epochs", "2"), exp_dir)
    args = ["--exp_dir", str(exp_dir), "--test_dir", str(json_dir / "tt"), "--n_examples", "0"]
    assert evaluate.main([*args, "--device", "cpu"]) == 0
    return exp_dir, json_dir / "tt"


@pytest.fixture
def no_hub(monkeypatch):
    """Asking for anything but a local file is a failure."""

    def local_files(source):
        assert Path(source).is_file(), f"the hub was asked for {source}"
        return source

    for module in (hub_utils, base_models):
        monkeypatch.setattr(module, "cached_download", local_files)


@pytest.fixture
def empty_shelf(monkeypatch, tmp_path, no_hub):
    """No model comes with the package; what is bundled goes to ``tmp_path``."""
    monkeypatch.setattr(bundled, "WEIGHTS_DIR", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


@pytest.fixture
def shelf(empty_shelf, experiment, tmp_path):
    """One model, ``latref/tiny-8k``, and the test mixtures."""
    exp_dir, test_dir = experiment
    bundle(exp_dir, "tiny-8k", COMMAND, tmp_path / "golden", hardware="a desk, 1 thread")
    bundle_examples(test_dir, exp_dir)
    return empty_shelf
