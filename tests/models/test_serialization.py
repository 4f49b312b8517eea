"""What is loaded, what is refused, and in which words."""

import os
import pickle

import pytest
import torch
from asteroid.models import BaseModel

from asteroid_latref import GatedSudoRmRf, IterSudoRmRf
from asteroid_latref.errors import LatrefError

SIZES = dict(n_sub_blocks=1, bn_chan=8, hid_chan=8, n_filters=8, upsampling_depth=2)


def make(**args):
    torch.manual_seed(0)
    return IterSudoRmRf(**(dict(n_src=2, n_blocks=2, n_iters=2, exits="all") | SIZES | args)).eval()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(make().serialize(), path)
    return path


@pytest.mark.parametrize("loader", [IterSudoRmRf, BaseModel])
def test_operating_point_at_load_time(saved, loader):
    wav = torch.randn(2, 1, 1234)
    whole = make()
    cut = loader.from_pretrained(str(saved), n_blocks=1, n_iters=1).eval()
    assert cut.n_blocks == 1 and cut.n_iters == (1,)
    torch.testing.assert_close(cut(wav), whole(wav, n_blocks=1, n_iters=1))
    other = loader.from_pretrained(str(saved), n_iters=[1, 2]).eval()
    torch.testing.assert_close(other(wav), whole(wav, n_iters=[1, 2]))


def test_gated_models_take_n_iters_as_their_limit():
    model = GatedSudoRmRf(n_src=2, max_iters=4, gate_kernel=10, **SIZES)
    again = GatedSudoRmRf.from_pretrained(model.serialize(), n_iters=2)
    assert again.n_iters == (2,)


def test_folder_file_dict_and_task(saved, tmp_path):
    model = make()
    model.task = "enh_single"
    torch.save(model.serialize(), saved)
    for source in (str(saved), str(tmp_path), model.serialize()):
        again = IterSudoRmRf.from_pretrained(source)
        assert again.task == again.truncate(1).task == "enh_single"
        assert again.get_model_args() == model.get_model_args()


class Opens:
    """A pickle that would leave a file behind if it were executed."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def rewrite(path, **changes):
    conf = make().serialize()
    versions = changes.pop("versions", {})
    conf["infos"]["software_versions"].update(versions)
    conf["model_args"].update(changes.pop("model_args", {}))
    torch.save(conf | changes, path)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2000])


NEWER = {"asteroid_latref_version": "99.1"}
DAMAGE = {
    "missing": (lambda p: p.unlink(), "no such file"),
    "text": (lambda p: p.write_text("hello"), "not a checkpoint"),
    "empty": (lambda p: p.write_bytes(b""), "not a checkpoint"),
    "truncated": (truncate, "cut short"),
    "code": (lambda p: rewrite(p, extra=Opens(p.parent / "ran")), "could run code.*not loaded"),
    "old pickle": (lambda p: p.write_bytes(pickle.dumps(Opens(p.parent / "ran"))), "code|damaged"),
    "weights only": (lambda p: torch.save(torch.ones(3), p), "the weights alone"),
    "no state": (lambda p: torch.save({"model_name": "X"}, p), "state_dict missing"),
    "training run": (
        lambda p: torch.save({"pytorch-lightning_version": "2.6", "state_dict": {}}, p),
        "best_model.pth",
    ),
    "other class": (lambda p: rewrite(p, model_name="ConvTasNet"), "ConvTasNet.from_pretrained"),
    "unknown class": (lambda p: rewrite(p, model_name="Nope"), "unknown model class 'Nope'$"),
    "newer class": (
        lambda p: rewrite(p, model_name="Nope", versions=NEWER),
        "written by asteroid_latref 99.1, this is .*pip install -U",
    ),
    "newer argument": (
        lambda p: rewrite(p, model_args={"n_dreams": 1}, versions=NEWER),
        "n_dreams.*written by asteroid_latref 99.1",
    ),
    "other sizes": (lambda p: rewrite(p, model_args={"bn_chan": 9}), "the weights do not fit"),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("case", DAMAGE)
def test_refusals_are_one_line_and_run_nothing(saved, case):
    damage, words = DAMAGE[case]
    damage(saved)
    with pytest.raises(LatrefError, match=words) as caught:
        IterSudoRmRf.from_pretrained(str(saved))
    assert "\n" not in str(caught.value) and str(saved) in str(caught.value)
    assert not (saved.parent / "ran").exists()


def test_a_newer_file_that_fits_is_loaded(saved):
    rewrite(saved, versions=NEWER)
    IterSudoRmRf.from_pretrained(str(saved))


@pytest.mark.parametrize("bad", [dict(n_blocks=3), dict(n_iters=0), dict(n_dreams=1)])
def test_operating_points_that_are_not_there(saved, bad):
    with pytest.raises(LatrefError, match=next(iter(bad))):
        IterSudoRmRf.from_pretrained(str(saved), **bad)


def test_empty_folder_is_named(tmp_path):
    with pytest.raises(LatrefError, match="no model in this folder"):
        IterSudoRmRf.from_pretrained(str(tmp_path))
