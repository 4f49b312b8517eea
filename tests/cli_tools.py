"""Small models and recordings, and running the command on them."""

import numpy as np
import pytest
import soundfile as sf
import torch

from asteroid_latref import IterSudoRmRf
from asteroid_latref.cli import main

RATE = 8000
SIZES = dict(n_sub_blocks=1, bn_chan=8, hid_chan=8, n_filters=8, upsampling_depth=2)


def make(**args):
    torch.manual_seed(0)
    return IterSudoRmRf(**(dict(n_src=2, n_blocks=2, n_iters=2, exits="all") | SIZES | args)).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = make()
    model.task = "enh_single"
    path = tmp_path_factory.mktemp("model") / "model.pth"
    torch.save(model.serialize(), path)
    return path


def tone(path, rate=RATE, seconds=0.5, channels=1, **how):
    wav = 0.1 * np.random.default_rng(0).normal(size=(round(seconds * rate), channels))
    sf.write(path, wav, rate, **how)
    return path


def run(capsys, *argv):
    code = main([str(a) for a in argv])
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err and err.count("error: ") == len(errors)
    return code, out, errors


def listing(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())
