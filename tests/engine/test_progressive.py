"""One block at a time: what a step trains and leaves alone, the folders, kills, two processes."""

import copy
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from asteroid_latref import BloomConvTasNet, JointExitSystem, ProgressiveSystem
from asteroid_latref.engine import train
from asteroid_latref.engine.conf import conf_from_dict
from asteroid_latref.engine.experiment import train_experiment
from asteroid_latref.engine.system import System
from asteroid_latref.errors import LatrefError
from asteroid_latref.losses import SlotPITLoss
from asteroid_latref.models import LatentRefinementModel

from ..tiny import CONF, make_corpus

SIZES = dict(n_src=1, n_blocks=3, bn_chan=6, hid_chan=8, n_filters=12)
TRAIN = Path(__file__).parents[2] / "egs" / "wham" / "train.py"


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def raw_conf(json_dir, finetune_epochs=2, **training):
    conf = copy.deepcopy(CONF)
    conf["data"] |= {"train_dir": str(json_dir / "tr"), "valid_dir": str(json_dir / "cv")}
    conf["optim"]["lr_every"] = 1
    conf["training"] |= {"epochs": 4, **training}
    progressive = {"warm_exits": False, "finetune_epochs": finetune_epochs, "finetune_lr": 1e-3}
    return {**conf, "progressive": progressive}


@pytest.fixture(scope="module")
def straight(tmp_path_factory, json_dir):
    """Two steps of two epochs and two of fine-tuning, trained without interruption."""
    folder = tmp_path_factory.mktemp("straight")
    assert train_experiment(conf_from_dict(raw_conf(json_dir)), folder)
    return folder


def state(path):
    return LatentRefinementModel.from_pretrained(str(path)).state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def trainable(model):
    return [p for p in model.parameters() if p.requires_grad]


# ---- the systems ---------------------------------------------------------------------------


def test_a_step_runs_frozen_parts_in_eval_mode_and_without_a_graph():
    model = BloomConvTasNet(**SIZES).freeze_before_last()
    optimizer = torch.optim.Adam(trainable(model))
    system = ProgressiveSystem(model, optimizer, SlotPITLoss(1), None)
    masker = model.masker
    for mode in (True, False, True):
        system.train(mode)
        assert masker.blocks[2].training == masker.mask_nets["3"].training == mode
        for frozen in (model.encoder, masker.bottleneck, masker.blocks[1], masker.mask_nets["2"]):
            assert not any(module.training for module in frozen.modules())
    latents = dict(masker.latents(model.forward_encoder(torch.randn(2, 1, 800)), (1, 1, 1)))
    assert [latents[k].requires_grad for k in (1, 2, 3)] == [False, False, True]


def test_a_step_learns_and_touches_nothing_else():
    model = BloomConvTasNet(**SIZES).freeze_before_last()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(trainable(model), lr=0.01)
    system = ProgressiveSystem(model, optimizer, SlotPITLoss(1), None, remix=False)
    batch = torch.randn(4, 800), torch.randn(4, 2, 800)
    batch = batch[1].sum(1), batch[1]
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        losses.append(system.common_step(batch, 0))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.5
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) != p.requires_grad, name


def test_an_optimizer_with_frozen_parameters_is_refused():
    model = BloomConvTasNet(**SIZES)
    with pytest.raises(LatrefError, match="freeze_before_last"):
        ProgressiveSystem(model, torch.optim.Adam(model.parameters()), SlotPITLoss(1), None)


def test_a_model_of_one_block_is_trained_whole():
    model = BloomConvTasNet(**{**SIZES, "n_blocks": 1})
    ProgressiveSystem(model, torch.optim.Adam(model.parameters()), SlotPITLoss(1), None)
    assert all(p.requires_grad for p in model.parameters())


def test_fine_tuning_is_the_plain_sum_over_the_exits():
    model, loss = BloomConvTasNet(**SIZES), SlotPITLoss(1)
    system = JointExitSystem(model, torch.optim.Adam(model.parameters()), loss, None, remix=False)
    mixture, targets = torch.randn(2, 800), torch.randn(2, 2, 800)
    total = system.common_step((mixture, targets), 0)
    parts = [loss(model(mixture, n_blocks=k), targets) for k in (1, 2, 3)]
    assert torch.allclose(total, sum(parts))
    total.backward()
    assert all(p.grad is not None for p in model.parameters())


# ---- the steps -----------------------------------------------------------------------------


def test_every_step_has_its_folder_and_starts_the_schedule_anew(straight):
    for name, epochs in (("step1", 2), ("step2", 2), ("finetune", 2)):
        history = pd.read_csv(straight / name / "history.csv")
        first = 1e-3 if name == "finetune" else 0.01
        assert history["epoch"].tolist() == list(range(1, epochs + 1))
        assert history["lr"].tolist() == pytest.approx([first, first / 3])
    whole = pd.read_csv(straight / "history.csv")
    assert whole["step"].tolist() == [1, 1, 2, 2] and whole["epoch"].tolist() == [1, 2, 3, 4]


def test_a_step_keeps_what_earlier_steps_learnt(straight):
    one, two = (state(straight / name / "best_model.pth") for name in ("step1", "step2"))
    assert one.keys() < two.keys()
    assert all(torch.equal(two[key], one[key]) for key in one)
    tuned = state(straight / "finetune" / "best_model.pth")
    assert not any(torch.equal(tuned[key], two[key]) for key in ("encoder.filterbank._filters",))


def test_the_final_model_holds_every_exit(straight):
    model = LatentRefinementModel.from_pretrained(str(straight / "best_model.pth"))
    assert model.exit_blocks == (1, 2)
    assert same(model.state_dict(), state(straight / "finetune" / "best_model.pth"))


def test_steps_do_not_see_the_same_batches(straight):
    seeds = []
    for name in ("step1", "step2", "finetune"):
        config = train.load_checkpoint(straight / name / "checkpoints/last.ckpt")
        seeds.append(config["training_config"]["training"]["seed"])
    assert seeds[0] == CONF["training"]["seed"] and len(set(seeds)) == 3


def test_uneven_epochs_and_missing_exits(tmp_path, json_dir):
    with pytest.raises(LatrefError, match="2 steps need one each"):
        train_experiment(conf_from_dict(raw_conf(json_dir, epochs=1)), tmp_path)
    raw = raw_conf(json_dir)
    raw["model"]["exits"] = "last"
    with pytest.raises(LatrefError, match='exits: "all"'):
        train_experiment(conf_from_dict(raw), tmp_path)


# ---- kills and damage ----------------------------------------------------------------------


def run_and_die(conf, exp_dir, when):
    """Trains until ``when``: a number of batches, or the moment a step's model is saved."""
    count = 0

    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    def batch_start(self, batch, batch_idx):
        nonlocal count
        count += 1
        if count > when:
            die()

    save_model = train.save_model
    if isinstance(when, int):
        System.on_train_batch_start = batch_start
    elif when == "before saving":
        train.save_model = die
    else:
        train.save_model = lambda *args: die(save_model(*args))
    train_experiment(conf, exp_dir, resume=True)


def test_killed_at_every_boundary_and_in_mid_step_is_bit_identical(tmp_path, json_dir, straight):
    conf = conf_from_dict(raw_conf(json_dir))
    saved = {"step1/best_model.pth": 2, "step2/best_model.pth": 4, "finetune/best_model.pth": 6}
    # Two batches an epoch, two epochs a step. Each life ends one moment further on.
    lives = [3, "before saving", "after saving", 1, "after saving", 3, "after saving"]
    for life in lives:
        context = multiprocessing.get_context("fork")
        child = context.Process(target=run_and_die, args=(conf, tmp_path, life))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, life
    assert all((tmp_path / name).exists() for name in saved)
    assert not (tmp_path / "best_model.pth").exists()
    assert train_experiment(conf, tmp_path), "goes on by itself"
    for name in [*saved, "best_model.pth"]:
        assert same(state(tmp_path / name), state(straight / name)), name
    for name in ("history.csv", "step2/history.csv", "finetune/history.csv"):
        pd.testing.assert_frame_equal(*(pd.read_csv(f / name) for f in (tmp_path, straight)))


@pytest.fixture
def copied(tmp_path, straight):
    """The finished experiment in a folder that may be spoilt, its last model not yet there."""
    subprocess.run(["cp", "-a", f"{straight}/.", tmp_path], check=True)
    (tmp_path / "best_model.pth").unlink()
    return tmp_path


@pytest.mark.parametrize("name", ["best_model.pth", "checkpoints/best.ckpt"])
def test_a_damaged_step_is_named_and_earlier_ones_are_untouched(copied, json_dir, name):
    spoilt = copied / "step2" / name
    spoilt.write_bytes(spoilt.read_bytes()[:1000])
    files = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    with pytest.raises(LatrefError, match=rf"step2/{name}: is damaged") as caught:
        train_experiment(conf_from_dict(raw_conf(json_dir)), copied)
    assert "\n" not in str(caught.value)
    assert {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()} == files


def test_an_interrupted_step_with_a_damaged_checkpoint_is_named(copied, json_dir):
    subprocess.run(["rm", "-r", copied / "finetune", copied / "step2/best_model.pth"], check=True)
    last = copied / "step2/checkpoints/last.ckpt"
    last.write_bytes(b"\0" * 100)
    before = (copied / "step1/best_model.pth").read_bytes()
    with pytest.raises(LatrefError, match=r"step2/checkpoints/last\.ckpt: is damaged"):
        train_experiment(conf_from_dict(raw_conf(json_dir)), copied)
    assert (copied / "step1/best_model.pth").read_bytes() == before


def test_a_step_grown_from_another_model_is_refused(copied, json_dir):
    path = copied / "step1/best_model.pth"
    stored = torch.load(path)
    stored["state_dict"]["encoder.filterbank._filters"] += 1
    torch.save(stored, path)
    with pytest.raises(LatrefError, match=r"step2/best_model\.pth: was grown from another model"):
        train_experiment(conf_from_dict(raw_conf(json_dir)), copied)


def test_finished_steps_with_other_settings_are_refused(copied, json_dir):
    raw = raw_conf(json_dir)
    raw["optim"]["lr"] = 0.5
    with pytest.raises(LatrefError, match=r"optim\.lr=0\.01, now it is 0\.5"):
        train_experiment(conf_from_dict(raw), copied)


# ---- two processes -------------------------------------------------------------------------


def test_two_processes_train_the_steps(tmp_path, json_dir):
    path = tmp_path / "conf.yml"
    path.write_text(yaml.safe_dump(raw_conf(json_dir, 0, epochs=2, batch_size=2, devices=2)))
    command = [sys.executable, TRAIN, "--conf", path, "--exp_dir", tmp_path / "exp"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 2 of 2") == 1
    one, two = (state(tmp_path / "exp" / name / "best_model.pth") for name in ("step1", "step2"))
    assert all(torch.equal(two[key], one[key]) for key in one)
    last = train.load_checkpoint(tmp_path / "exp/step2/checkpoints/last.ckpt")
    assert last["global_step"] == 2, "10 items, 2 processes, batches of 2"
