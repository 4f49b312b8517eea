"""Every repair of compat.py, with its symptom provoked first."""

import datetime
import importlib.metadata
import os
import pickle
import subprocess
import sys
import sysconfig
import types
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytest
import torch

import asteroid_latref
from asteroid_latref import compat

import asteroid.models  # isort: skip
from asteroid.models import ConvTasNet  # isort: skip

SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
ROOT = Path(asteroid_latref.__file__).parents[1]

# What must work after `import asteroid_latref`, whatever the installation lacks.
ALL_WORKS = """
import asteroid_latref
import asteroid.losses, asteroid.engine, asteroid.metrics, asteroid.models, asteroid.separate
import torch
model = asteroid.models.ConvTasNet(n_src=2, n_blocks=1, n_repeats=1, n_filters=16, bn_chan=8,
                                   hid_chan=8)
model = asteroid.models.BaseModel.from_pretrained(model.serialize())
assert model(torch.randn(1, 800)).shape == (1, 2, 800)
asteroid_latref.compat.apply()
"""


def python(code: str, *path: Path) -> str:
    """What ``code`` prints in a fresh interpreter that finds packages on ``path`` only."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def installation_without(folder: Path, *absent: str) -> Path:
    """A view of this installation in which the ``absent`` packages are not installed."""
    folder.mkdir()
    for entry in SITE_PACKAGES.iterdir():
        if not entry.name.startswith("__") and entry.name.split("-")[0] not in absent:
            (folder / entry.name).symlink_to(entry)
    return folder


def broken_import(package: str, error: str) -> str:
    """Code that imports ``package`` and insists on its failure, like a user without compat."""
    return f"""
try:
    import {package}
except {error} as e:
    print(e)
else:
    raise SystemExit("the symptom is not there")
"""


# huggingface_hub 0.36 cannot do without requests; newer ones can.
hub_needs_requests = any(
    line.startswith("requests") and "extra ==" not in line
    for line in importlib.metadata.requires("huggingface_hub")
)


@pytest.mark.skipif(hub_needs_requests, reason="this huggingface_hub needs requests itself")
def test_undeclared_packages_are_absent(tmp_path):
    absent = ["torchaudio", "requests", "pkg_resources", "librosa"]
    site = installation_without(tmp_path / "site", *absent)
    out = python(
        broken_import("pytorch_lightning", "ModuleNotFoundError")
        + broken_import("asteroid.models", "ModuleNotFoundError")
        + ALL_WORKS
        + f"""
import importlib.util, sys
for name in {absent}:
    assert name not in sys.modules and importlib.util.find_spec(name) is None
import torchmetrics.utilities.imports as imports
assert imports.get_distribution("asteroid").version == asteroid.__version__
try:
    asteroid.utils.hub_utils.model_list()
except ImportError as e:
    print(e)
""",
        site,
    )
    pkg_resources, requests, used = out.splitlines()
    assert pkg_resources == "No module named 'pkg_resources'"
    assert requests == "No module named 'requests'"
    assert used == "requests is not installed: pip install requests"


BROKEN_EXTENSION = "raise OSError('libcudart.so: cannot open shared object file')"
BROKEN_PYTHON = "raise RuntimeError('compiled with different CUDA versions')"
PURE_PYTHON = """
from . import _extension
from ._extension import _IS_TORCHAUDIO_EXT_AVAILABLE, fail_if_no_align, lazy_import_sox_ext
assert not lazy_import_sox_ext().is_available()

@fail_if_no_align
def forced_align(): ...
"""


@pytest.mark.parametrize(
    ("extension", "package", "error", "expected"),
    [
        (BROKEN_EXTENSION, PURE_PYTHON, "OSError", "False this torchaudio was built"),
        (BROKEN_EXTENSION, BROKEN_PYTHON, "RuntimeError", "absent"),
    ],
    ids=["extension", "everything"],
)
def test_broken_torchaudio(tmp_path, extension, package, error, expected):
    fake = tmp_path / "fake" / "torchaudio"
    fake.mkdir(parents=True)
    (fake / "_extension.py").write_text(extension)
    (fake / "__init__.py").write_text(package)
    out = python(
        broken_import("asteroid", error)
        + ALL_WORKS
        + """
try:
    import torchaudio
except ModuleNotFoundError:
    print("absent")
else:
    try:
        torchaudio.forced_align()
    except RuntimeError as e:
        print(torchaudio._IS_TORCHAUDIO_EXT_AVAILABLE, e)
""",
        fake.parent,
        SITE_PACKAGES,
    )
    assert expected in out.splitlines()[-1]
    assert sorted(p.name for p in fake.iterdir() if p.suffix) == ["__init__.py", "_extension.py"]


def test_repairs_wait_for_their_symptom(monkeypatch):
    """On a healthy installation nothing is replaced, and apply() twice changes nothing."""
    healthy = types.ModuleType("torchaudio")
    healthy.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "torchaudio", healthy)
    before = dict(sys.modules)
    get, register = asteroid.models.get, asteroid.models.register_model
    load = asteroid.models.BaseModel.from_pretrained.__func__
    compat.apply()
    assert sys.modules == before
    assert (asteroid.models.get, asteroid.models.register_model) == (get, register)
    assert asteroid.models.BaseModel.from_pretrained.__func__ is load


# --- checkpoints --------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path):
    """A file as Asteroid publishes it: a version and metrics that are not plain values."""
    model = ConvTasNet(n_src=1, n_blocks=1, n_repeats=1, n_filters=8, bn_chan=4, hid_chan=4)
    conf = {**model.serialize(), "dataset": "none", "licenses": []}
    metrics = {"si_sdr": np.float64(3.25), "stoi": np.float32(0.5), "n": np.int64(7)}
    asteroid.models.save_publishable(str(tmp_path), conf, metrics=metrics)
    return model, tmp_path / "model.pth"


def test_checkpoints_of_asteroid_load(published):
    model, path = published
    with pytest.raises(UnpicklingError):
        torch.load(path, weights_only=True)
    for cls in (ConvTasNet, asteroid.models.BaseModel):
        loaded = cls.from_pretrained(str(path))
        assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    infos = compat.load_checkpoint(path)["infos"]
    assert infos["final_metrics"] == {"si_sdr": 3.25, "stoi": 0.5, "n": 7}
    assert infos["software_versions"]["torch_version"] == torch.__version__


def test_the_allowance_ends_with_the_load(published):
    """Nothing stays allowed for the rest of the process, not after a failure either."""
    before = list(torch.serialization.get_safe_globals())
    ConvTasNet.from_pretrained(str(published[1]))
    with pytest.raises(FileNotFoundError):
        compat.load_checkpoint("no such file")
    assert list(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("module", ["numpy._core.multiarray", "numpy.core.multiarray"])
def test_numpy_scalars_of_either_numpy(tmp_path, module):
    path = tmp_path / "x.pt"
    values = [np.float64(1.5), np.bool_(True), np.int32(-3), np.uint8(9), np.float16(0.25)]
    torch.save(values, path, pickle_module=_renaming(module))
    assert compat.load_checkpoint(path) == values


def _renaming(module):
    """A pickle that writes numpy's scalar under the name that another numpy gives it."""

    class Pickler(pickle._Pickler):
        def save_global(self, obj, name=None):
            if getattr(obj, "__name__", "") == "scalar":
                self.write(pickle.GLOBAL + f"{module}\nscalar\n".encode())
                self.memoize(obj)
            else:
                super().save_global(obj, name)

    renaming = types.ModuleType("renaming")
    renaming.Pickler = Pickler
    return renaming


class _Payload:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("payload", [_Payload(), datetime.date(2020, 1, 1), os.getcwd])
def test_files_with_code_are_refused(tmp_path, monkeypatch, payload):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    torch.save({"model_name": "ConvTasNet", "infos": payload}, path)
    with pytest.raises(UnpicklingError):
        compat.load_checkpoint(path)
    with pytest.raises(UnpicklingError):
        ConvTasNet.from_pretrained(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]


# --- the registry -------------------------------------------------------------------------------


def unrepaired(name: str):
    """Asteroid's own function, as its source defines it."""
    source = Path(asteroid.models.__file__).read_text()
    namespace = {**vars(asteroid.models)}
    exec(source[source.index("def register_model") :], namespace)
    return namespace[name]


@pytest.mark.parametrize("name", ["get", "register_model", "upload_publishable", "publisher"])
def test_get_returns_models_only(name):
    assert not isinstance(unrepaired("get")(name), type)
    with pytest.raises(ValueError, match=name):
        asteroid.models.get(name)
    with pytest.raises(ValueError):
        asteroid.models.BaseModel.from_pretrained({"model_name": name})


def test_get_still_finds_every_model():
    for name in ("ConvTasNet", "convtasnet", "DPRNNTasNet", "DCUNet", "SuDORMRFImprovedNet"):
        assert asteroid.models.get(name).__name__.lower() == name.lower()
    for identifier in (None, 3, "no such model"):
        with pytest.raises(ValueError):
            asteroid.models.get(identifier)


def test_register_twice(monkeypatch):
    def define(module):
        return type("Mine", (torch.nn.Module,), {"__module__": module})

    first, reloaded, other = define("mine"), define("mine"), define("somebody.else")
    monkeypatch.setattr(asteroid.models, "Mine", first, raising=False)
    with pytest.raises(ValueError):
        unrepaired("register_model")(first)
    asteroid.models.register_model(first)
    assert asteroid.models.get("mine") is first
    asteroid.models.register_model(reloaded)
    assert asteroid.models.get("Mine") is reloaded
    with pytest.raises(ValueError):
        asteroid.models.register_model(other)
    with pytest.raises(ValueError):
        asteroid.models.register_model(type("ConvTasNet", (torch.nn.Module,), {}))
