"""The shell recipe from manifests to a published model, with two processes in training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from .tiny import make_corpus, write_conf

RECIPE = Path(__file__).parents[1] / "egs" / "wham"


def run(*options):
    """Runs ``run.sh``; what it writes goes where the options say."""
    return subprocess.run(
        [RECIPE / "run.sh", "--python", sys.executable, *map(str, options)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Stages 3 to 5 of an experiment in a folder of the test."""
    folder = tmp_path_factory.mktemp("recipe")
    json_dir = make_corpus(folder)
    conf = write_conf(folder / "conf.yml", training={"epochs": 2})
    options = ["--stage", 3, "--json_dir", json_dir, "--conf", conf, "--exp_root", folder / "exp"]
    finished = run(
        *options, "--tag", "two", "--devices", 2, "--n_examples", 0, "--", "--batch_size", 2
    )
    assert finished.returncode == 0, finished.stderr
    return folder, finished


def test_two_processes_train_two_epochs(done):
    folder, finished = done
    assert "Stage 3: training" in finished.stdout
    history = pd.read_csv(folder / "exp/two/history.csv")
    assert history["epoch"].tolist() == [1, 2]
    checkpoint = torch.load(folder / "exp/two/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2 * 2, "10 items, 2 processes, batches of 2: 2 steps each"
    assert checkpoint["training_config"]["training"]["devices"] == 2


def test_what_was_trained_is_evaluated_and_published(done):
    folder, finished = done
    final = json.loads((folder / "exp/two/final_metrics.json").read_text())
    assert final["n_items"] == 3 and [row["n_blocks"] for row in final["exits"]] == [1, 2]
    assert f"{final['si_sdr_imp']:.2f}" in finished.stdout
    assert torch.load(folder / "exp/two/publish_dir/model.pth", weights_only=True)["licenses"]
    assert not (RECIPE / "exp/two").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--stage", "seven"], "--stage"),
        (["--tga", "x"], "--tga"),
        (["--conf", "local/conf/gone.yml"], "gone.yml"),
        (["--stage", 4, "--json_dir", "/nowhere"], "/nowhere/tt"),
    ],
    ids=str,
)
def test_mistakes_are_one_line_before_anything_is_done(options, word):
    failed = run(*options)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
    assert word in failed.stderr
    assert not failed.stdout or failed.stdout.startswith("Stage 4")
