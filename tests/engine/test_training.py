import multiprocessing
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from asteroid_latref.engine import train_stage
from asteroid_latref.engine.callbacks import LossHistory
from asteroid_latref.engine.conf import build_model
from asteroid_latref.engine.experiment import main, train_experiment
from asteroid_latref.engine.system import System
from asteroid_latref.engine.train import load_checkpoint, make_datasets, make_system
from asteroid_latref.errors import LatrefError
from asteroid_latref.models import IterSudoRmRf
from asteroid_latref.training_run import describe_run

from ..tiny import make_conf, make_corpus, write_conf


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def straight(tmp_path_factory, json_dir):
    """An experiment trained without interruption."""
    folder = tmp_path_factory.mktemp("straight")
    train_experiment(make_conf(folder, json_dir), folder / "exp")
    return folder / "exp"


class Killed(System):
    """Dies in the middle of an epoch, as with kill -9."""

    def on_train_batch_start(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 1):
            os.kill(os.getpid(), signal.SIGKILL)


def train_until_killed(folder, json_dir, *overrides):
    conf = make_conf(folder, json_dir, *overrides)
    pl.seed_everything(conf.training.seed, verbose=False)
    system = make_system(build_model(conf), conf, make_datasets(conf), Killed)
    train_stage(system, conf.optim, conf.training, folder / "exp")


def weights(exp_dir, name="last"):
    return load_checkpoint(exp_dir / "checkpoints" / f"{name}.ckpt")["state_dict"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_killed_in_mid_epoch_and_resumed_is_bit_identical(tmp_path, json_dir, straight, workers):
    options = ["--num_workers", workers]
    child = multiprocessing.get_context("fork").Process(
        target=train_until_killed, args=(tmp_path, json_dir, *options)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(pd.read_csv(tmp_path / "exp/history.csv")) == 1
    conf = make_conf(tmp_path, json_dir, *options)
    with pytest.raises(LatrefError, match="interrupted training"):
        train_experiment(conf, tmp_path / "exp")
    assert train_experiment(conf, tmp_path / "exp", resume=True)
    assert same(weights(tmp_path / "exp"), weights(straight))
    histories = [pd.read_csv(folder / "history.csv") for folder in (tmp_path / "exp", straight)]
    pd.testing.assert_frame_equal(*histories)
    models = [torch.load(f / "best_model.pth") for f in (tmp_path / "exp", straight)]
    assert same(*(model["state_dict"] for model in models))


def test_a_finished_training_goes_on_to_more_epochs_as_if_never_stopped(
    tmp_path, json_dir, straight
):
    assert train_experiment(make_conf(tmp_path, json_dir, "--epochs", "1"), tmp_path / "exp")
    before = weights(tmp_path / "exp")
    conf = make_conf(tmp_path, json_dir)
    assert not train_experiment(conf, tmp_path / "exp"), "trained already: nothing to do"
    assert same(weights(tmp_path / "exp"), before)
    assert train_experiment(conf, tmp_path / "exp", resume=True)
    assert same(weights(tmp_path / "exp"), weights(straight))


def test_seeds_make_a_difference_and_training_lowers_the_loss(tmp_path, json_dir, straight):
    train_experiment(make_conf(tmp_path, json_dir, "--training.seed", "1"), tmp_path / "exp")
    assert not same(weights(tmp_path / "exp"), weights(straight))
    history = pd.read_csv(straight / "history.csv")
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    assert history["lr"].tolist() == pytest.approx([0.01, 0.01, 0.01 / 3])


def test_the_best_model_is_that_of_the_lowest_validation_loss(straight):
    stored = torch.load(straight / "best_model.pth", weights_only=True)
    model = IterSudoRmRf.from_pretrained(str(straight / "best_model.pth"))
    best = {k.removeprefix("model."): v for k, v in weights(straight, "best").items()}
    assert same(model.state_dict(), best)
    assert stored["task"] == "enh_single" and stored["licenses"]


def test_the_last_checkpoint_is_the_last_also_when_nothing_gets_better(tmp_path, json_dir):
    train_experiment(make_conf(tmp_path, json_dir, "--lr", "1e-30"), tmp_path / "exp")
    epochs = {
        name: load_checkpoint(tmp_path / f"exp/checkpoints/{name}.ckpt")["epoch"]
        for name in ("best", "last")
    }
    assert epochs == {"best": 0, "last": 2}


def test_other_settings_do_not_continue_an_experiment(tmp_path, json_dir, straight):
    with pytest.raises(LatrefError, match=r"optim\.lr=0\.01, now it is 0\.5"):
        train_experiment(make_conf(tmp_path, json_dir, "--lr", "0.5"), straight, resume=True)


def test_a_checkpoint_cut_short_is_named(tmp_path, json_dir):
    conf = make_conf(tmp_path, json_dir, "--epochs", "1")
    train_experiment(conf, tmp_path / "exp")
    last = tmp_path / "exp/checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:2000])
    with pytest.raises(LatrefError, match=r"last\.ckpt: is damaged"):
        train_experiment(conf, tmp_path / "exp", resume=True)


def test_what_is_drawn_in_a_step_depends_on_its_place_alone(tmp_path, json_dir):
    conf = make_conf(tmp_path, json_dir)
    system = make_system(build_model(conf), conf, make_datasets(conf))
    system.log = lambda *args, **kwargs: None
    batch = next(iter(system.train_loader))
    losses = []
    for batch_nb in (3, 4, 3):
        torch.rand(7)  # other use of the global generator
        losses.append(float(system.training_step(batch, batch_nb)))
    assert losses[0] == losses[2] != losses[1]
    assert float(system.common_step(batch, 3, train=False)) not in losses


def test_diverged_training_stops_with_a_sentence(tmp_path):
    trainer = SimpleNamespace(
        current_epoch=4,
        is_global_zero=True,
        callback_metrics={"loss": torch.tensor(float("nan")), "val_loss": torch.tensor(1.0)},
        optimizers=[torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)],
    )
    with pytest.raises(LatrefError, match="loss of epoch 5 is nan"):
        LossHistory(tmp_path / "history.csv").on_train_epoch_end(trainer, None)
    assert not list(tmp_path.iterdir())


def test_the_command_answers_mistakes_with_one_line(tmp_path, json_dir, capsys):
    common = ["--conf", str(write_conf(tmp_path / "conf.yml")), "--exp_dir", str(tmp_path / "exp")]
    dirs = ["--train_dir", str(json_dir / "tr"), "--valid_dir", str(json_dir / "cv")]
    for options, word in {
        ("--bathc_size", "3"): "batch_size",
        ("--task", "sep_loud"): "sep_loud",
        ("--train_dir", str(tmp_path / "gone")): "gone",
        ("--optimizer", "adamm"): "adamm",
        ("--precision", "17"): "17",
        ("--max_time", "soon"): "soon",
    }.items():
        assert main([*common, *dirs, *options]) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1 and word in err
    assert main(common) == 2
    assert "data.train_dir is not set" in capsys.readouterr().err
    assert not (tmp_path / "exp").exists(), "nothing half-made"


def test_a_training_begins_with_the_model_it_is_given(tmp_path, json_dir, straight):
    trained = str(straight / "best_model.pth")
    still = ["--lr", "1e-30", "--epochs", "1", "--init", trained]
    conf = make_conf(tmp_path, json_dir, *still, "--seed", "5")
    file = torch.load(straight / "best_model.pth", weights_only=True)
    credit = {"title": "what the first one heard"}
    torch.save({**file, "licenses": [credit]}, straight / "credited.pth")
    conf = replace(conf, training=replace(conf.training, init=str(straight / "credited.pth")))
    train_experiment(conf, tmp_path / "exp")
    trained_on = torch.load(tmp_path / "exp" / "best_model.pth", weights_only=True)["licenses"]
    assert credit in trained_on and len(trained_on) > 1
    before, after = (
        IterSudoRmRf.from_pretrained(str(path / "best_model.pth")).state_dict()
        for path in (straight, tmp_path / "exp")
    )
    assert all(torch.allclose(before[key], after[key], rtol=0, atol=1e-20) for key in before)
    run = describe_run(tmp_path / "exp", conf.as_dict(), {"data": {"dataset": "x"}}, "./run.sh")
    assert [stage["epochs"] for stage in run["stages"]] == [3, 1]
    assert run["optimizer_steps"] == sum(stage["optimizer_steps"] for stage in run["stages"])


def test_a_model_that_does_not_fit_is_no_beginning(tmp_path, json_dir, straight):
    trained = ["--init", str(straight / "best_model.pth")]
    for options, words in {
        ("--bn_chan", "16"): "has other sizes",
        ("--init", "gone.pth"): "gone.pth: no such file",
    }.items():
        with pytest.raises(LatrefError, match=words):
            train_experiment(make_conf(tmp_path, json_dir, *trained, *options), tmp_path / "exp")
    conf = make_conf(tmp_path, json_dir, *trained)
    growing = replace(conf, extra={"progressive": None})
    with pytest.raises(LatrefError, match="a model that grows"):
        train_experiment(growing, tmp_path / "exp")
