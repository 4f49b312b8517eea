"""Training with a gate: what the penalty does, the two phases, their baselines, resuming."""

import pandas as pd
import pytest
import torch
import yaml

from asteroid_latref.engine.callbacks import EpochDecay
from asteroid_latref.engine.conf import load_conf
from asteroid_latref.engine.experiment import train_experiment
from asteroid_latref.engine.gated import GatedSystem
from asteroid_latref.engine.train import load_checkpoint
from asteroid_latref.errors import LatrefError
from asteroid_latref.losses import SlotPITLoss
from asteroid_latref.models import GatedSudoRmRf, IterSudoRmRf, LatentRefinementModel

from ..tiny import CONF, make_corpus

MODEL = {
    "name": "GatedSudoRmRf",
    "n_blocks": 1,
    "max_iters": 2,
    "exits": "last",
    "gate_kernel": 200,
}
GATE = {
    "penalty": 0.5,
    "epochs": 2,
    "lr": 3e-3,
    "lr_divisor": 3.0,
    "lr_every": 1,
    "gate_lr": 3e-4,
    "baselines": [1, 2],
}


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def make_conf(folder, json_dir, model=MODEL, **gate):
    sizes = {k: v for k, v in CONF["model"].items() if k != "n_iters"}
    path = folder / "conf.yml"
    path.write_text(yaml.safe_dump({**CONF, "model": {**sizes, **model}, "gate": {**GATE, **gate}}))
    dirs = ["--train_dir", str(json_dir / "tr"), "--valid_dir", str(json_dir / "cv")]
    return load_conf(path, dirs)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, json_dir):
    """An experiment trained without interruption."""
    folder = tmp_path_factory.mktemp("straight")
    train_experiment(make_conf(folder, json_dir), folder / "exp")
    return folder / "exp"


def make_system(**options):
    torch.manual_seed(0)
    sizes = dict(n_src=2, bn_chan=8, hid_chan=8, upsampling_depth=2, n_filters=16, gate_kernel=100)
    model = GatedSudoRmRf(**sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    return GatedSystem(model, optimizer, SlotPITLoss(1), None, **options), optimizer


def test_loss_is_separation_plus_the_price_of_the_steps():
    system, _ = make_system(penalty=0.7)
    system.eval()
    mixture, targets = torch.randn(3, 1000), torch.randn(3, 2, 1000)
    est, n_steps = system.model.separate_with_steps(mixture)
    expected = SlotPITLoss(1)(est, targets) + 0.7 * n_steps.mean()
    assert torch.allclose(system.loss(system.estimates(mixture), targets), expected)


@pytest.mark.parametrize(("penalty", "n_steps"), [(500.0, 0.0), (-500.0, 4.0)])
def test_price_alone_shuts_the_gate_and_a_reward_opens_it(penalty, n_steps):
    system, optimizer = make_system(penalty=penalty)
    mixture, targets = torch.randn(4, 1000), torch.randn(4, 2, 1000)
    for _ in range(25):
        optimizer.zero_grad()
        system.loss(system.estimates(mixture), targets).backward()
        optimizer.step()
    system.eval()
    assert (system.estimates(mixture)[1] == n_steps).all()


def test_gate_has_a_learning_rate_of_its_own():
    system, optimizer = make_system(gate_lr_scale=0.1)
    network, gate = optimizer.param_groups
    assert {id(p) for p in gate["params"]} == {id(p) for p in system.model.masker.gate.parameters()}
    both = [id(p) for group in (network, gate) for p in group["params"]]
    assert sorted(both) == sorted(id(p) for p in system.model.parameters())

    class Trainer:
        optimizers, current_epoch = [optimizer], 3

    EpochDecay(0.9, divisor=3, every=2).on_train_epoch_start(Trainer, system)
    assert network["lr"] == pytest.approx(0.3) and gate["lr"] == pytest.approx(0.03)


def test_two_phases_and_the_baselines(straight):
    model = LatentRefinementModel.from_pretrained(str(straight / "best_model.pth"))
    assert type(model) is GatedSudoRmRf
    for n_iters in (1, 2):
        path = straight / f"fixed{n_iters}" / "joint" / "best_model.pth"
        fixed = LatentRefinementModel.from_pretrained(str(path))
        assert type(fixed) is IterSudoRmRf and fixed.n_iters == (n_iters,)
    # As many iterations as the gate may take: the first phase is one and the same.
    assert (straight / "fixed1" / "pretrained").exists()
    assert not (straight / "fixed2" / "pretrained").exists()
    histories = {d: pd.read_csv(straight / d / "history.csv") for d in ("pretrained", "joint")}
    assert [len(h) for h in histories.values()] == [1, 2]
    whole = pd.read_csv(straight / "history.csv")
    assert whole["epoch"].tolist() == [1, 2, 3]
    assert whole["phase"].tolist() == ["pretrained", "joint", "joint"]
    assert histories["joint"]["lr"].tolist() == pytest.approx([3e-3, 1e-3])
    for column in ("steps", "val_steps"):
        assert histories["joint"][column].between(0, 2).all()
        assert column not in histories["pretrained"]


def test_second_phase_begins_with_the_first_one_s_weights(tmp_path, json_dir, straight):
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "pretrained").symlink_to(straight / "pretrained")
    conf = make_conf(tmp_path, json_dir, lr=1e-12, gate_lr=1e-12, baselines=[])
    train_experiment(conf, tmp_path / "exp")
    begun, ended = (
        LatentRefinementModel.from_pretrained(str(tmp_path / "exp" / name)).state_dict()
        for name in ("pretrained/best_model.pth", "best_model.pth")
    )
    assert all(torch.allclose(ended[name], weight, atol=1e-8) for name, weight in begun.items())


def test_interrupted_in_the_second_phase_and_resumed(tmp_path, json_dir, straight, monkeypatch):
    class PowerCutError(Exception):
        pass

    def cut(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 1):
            raise PowerCutError

    conf = make_conf(tmp_path, json_dir)
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(GatedSystem, "on_train_batch_start", cut, raising=False)
        train_experiment(conf, tmp_path / "exp")
    assert not (tmp_path / "exp" / "best_model.pth").exists()
    assert train_experiment(conf, tmp_path / "exp")  # phases go on by themselves
    for phase in ("pretrained", "joint", "fixed1/joint"):
        ours, theirs = (
            load_checkpoint(exp / phase / "checkpoints" / "last.ckpt")["state_dict"]
            for exp in (tmp_path / "exp", straight)
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), phase


def test_finished_phases_are_kept(straight, json_dir):
    before = {p: p.stat().st_mtime_ns for p in straight.glob("**/checkpoints/*.ckpt")}
    assert len(before) == 10
    assert not train_experiment(make_conf(straight.parent, json_dir), straight)
    assert train_experiment(make_conf(straight.parent, json_dir), straight, resume=True)
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_wrong_use_is_refused(tmp_path, json_dir):
    with pytest.raises(LatrefError, match=r"gate\.epochs is 3"):
        train_experiment(make_conf(tmp_path, json_dir, epochs=3), tmp_path / "exp")
    conf = make_conf(tmp_path, json_dir, model={"name": "IterSudoRmRf"})
    with pytest.raises(LatrefError, match="needs a GatedSudoRmRf"):
        train_experiment(conf, tmp_path / "exp2")


def test_a_phase_of_another_model_is_not_taken_over(tmp_path, json_dir, straight):
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "pretrained").symlink_to(straight / "pretrained")
    conf = make_conf(tmp_path, json_dir, model={**MODEL, "max_iters": 3})
    with pytest.raises(LatrefError, match="pretrained: holds another model"):
        train_experiment(conf, tmp_path / "exp")
