"""One line for everything that can be wrong with a recording, an output, a model or an option."""
# ruff: noqa: F811  (fixtures are imported)

import os
import re
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile as sf
import torch

from .cli_tools import RATE, listing, make, run, saved, tone  # noqa: F401

as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")

# ---- what can be wrong with a recording ------------------------------------------------------


def damaged(path, keep):
    """A FLAC file of 2 s, cut off or with zeros in its middle."""
    tone(path, seconds=2)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] if keep == "half" else data[:half] + bytes(half))


def samples(path, values, rate=RATE):
    sf.write(path, np.asarray(values, dtype=np.float32), rate, subtype="FLOAT")


def spoilt(value):
    wav = np.zeros(RATE)
    wav[77] = value
    return wav


BAD_RECORDINGS = {
    "missing": ("x.wav", lambda p: None, "no such file"),
    "dangling link": ("x.wav", lambda p: p.symlink_to("nowhere"), "no such file"),
    "not audio": ("x.wav", lambda p: p.write_text("hello" * 99), "not a readable sound file"),
    "a picture": ("x.png", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "not a readable"),
    "0 bytes": ("x.wav", lambda p: p.touch(), "empty file"),
    "no samples": ("x.wav", lambda p: samples(p, []), "holds no samples"),
    "1 sample": ("x.wav", lambda p: samples(p, [0.5]), "too short to separate"),
    "NaN": ("x.wav", lambda p: samples(p, spoilt(np.nan)), "NaN or infinite samples"),
    "infinite": ("x.wav", lambda p: samples(p, spoilt(np.inf)), "NaN or infinite samples"),
    "192 kHz": ("x.wav", lambda p: tone(p, rate=192_000), "192000 Hz.*add --resample"),
    "44.1 kHz": ("x.flac", lambda p: tone(p, rate=44_100), "44100 Hz.*add --resample"),
    "8 channels": ("x.wav", lambda p: tone(p, channels=8), "8 channels; choose --channels"),
    "cut FLAC": ("x.flac", lambda p: damaged(p, "half"), "truncated|damaged"),
    "zeroed FLAC": ("x.flac", lambda p: damaged(p, "all"), "truncated|damaged"),
    "empty folder": ("x", lambda p: p.mkdir(), "holds no sound files"),
    "pattern": ("x*.wav", lambda p: None, "no file matches"),
    "same outputs": ("good.flac", tone, "outputs would have the names of those of"),
    "unreadable": ("x.wav", lambda p: tone(p).chmod(0), "cannot be read"),
}


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=as_root if c == "unreadable" else ()) for c in BAD_RECORDINGS]
)
def test_bad_recording_is_one_line_and_the_others_are_done(capsys, saved, tmp_path, case):
    name, spoil, words = BAD_RECORDINGS[case]
    good = tone(tmp_path / "good.wav")
    bad = tmp_path / name
    spoil(bad)
    before = listing(tmp_path)
    code, _, errors = run(capsys, "separate", saved, good, bad)
    assert code == 1 and len(errors) == 1
    assert str(bad) in errors[0]
    assert_matches(words, errors[0])
    assert listing(tmp_path) == sorted([*before, "good_noise.wav", "good_s1.wav"])
    if case != "same outputs":
        assert run(capsys, "separate", saved, bad)[0] == 2


def assert_matches(words, text):
    assert re.search(words, text), text


# ---- what can be wrong with the output -------------------------------------------------------


@contextmanager
def no_space_beyond(n_bytes):
    """No file may grow beyond ``n_bytes``: a write fails in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("store", ["memory", "file"])
def test_full_disk_leaves_nothing_behind(capsys, saved, tmp_path, monkeypatch, store):
    if store == "file":  # as with a long recording
        monkeypatch.setattr("asteroid_latref.longform.writer.IN_MEMORY", 1000)
    long, short = tone(tmp_path / "long.wav", seconds=5), tone(tmp_path / "short.wav", seconds=0.1)
    with no_space_beyond(20_000):
        code, _, errors = run(capsys, "separate", saved, long, short, "-o", tmp_path / "out")
    assert code == 1 and len(errors) == 1 and "cannot be written" in errors[0]
    assert listing(tmp_path / "out") == ["short_noise.wav", "short_s1.wav"]


@pytest.mark.parametrize("where", ["file", "below"])
def test_output_that_is_no_folder(capsys, saved, tmp_path, where):
    wav = tone(tmp_path / "a.wav")
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / ("" if where == "file" else "deep")
    code, _, errors = run(capsys, "separate", saved, wav, "-o", out)
    assert code == 2 and len(errors) == 1 and "cannot be written" in errors[0]
    assert listing(tmp_path) == ["a.wav", "file"]


@as_root
def test_output_folder_without_permission(capsys, saved, tmp_path):
    wav = tone(tmp_path / "a.wav")
    (tmp_path / "out").mkdir(mode=0o500)
    code, _, errors = run(capsys, "separate", saved, wav, "-o", tmp_path / "out")
    assert code == 2 and "no permission" in errors[0]


# ---- what can be wrong with a model or an option ----------------------------------------------


class Opens:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


BAD_MODELS = {
    "missing": (lambda p, m: None, "no such file"),
    "text": (lambda p, m: p.write_text("hello"), "not a checkpoint"),
    "0 bytes": (lambda p, m: p.touch(), "not a checkpoint"),
    "truncated": (lambda p, m: p.write_bytes(m.read_bytes()[:-3000]), "damaged or cut short"),
    "pickle with code": (
        lambda p, m: torch.save({"model_name": Opens(p.parent / "ran")}, p),
        "could run code, so it was not loaded",
    ),
    "weights only": (lambda p, m: torch.save(make().state_dict(), p), "model_name.* missing"),
    "folder": (lambda p, m: p.mkdir(), "no model in this folder"),
    "unknown class": (
        lambda p, m: torch.save(make().serialize() | {"model_name": "Unheard"}, p),
        "unknown model class 'Unheard'",
    ),
    "NaN weights": (
        lambda p, m: torch.save(
            make().serialize()
            | {"state_dict": {k: v * float("nan") for k, v in make().state_dict().items()}},
            p,
        ),
        "NaN or infinite samples; its weights are damaged",
    ),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model_is_one_line_and_runs_nothing(capsys, saved, tmp_path, case):
    spoil, words = BAD_MODELS[case]
    wav = tone(tmp_path / "a.wav")
    spoil(tmp_path / "bad.pth", saved)
    before = listing(tmp_path)
    code, _, errors = run(capsys, "separate", tmp_path / "bad.pth", wav)
    assert code == 2 and len(errors) == 1
    assert_matches(words, errors[0])
    assert listing(tmp_path) == before and not (tmp_path / "ran").exists()


BAD_OPTIONS = {
    "--n-blocks 9": "n_blocks=9",
    "--n-iters 0": "n_iters=0",
    "--n-iters 1,2,3": "3 entries for 2 block",
    "--window -1": "window=-1",
    "--window 4 --overlap 3": "overlap=3",
    "--batch 0": "batch=0",
    "--device moon": "--device moon",
    "--device cuda:99": "--device cuda:99",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_option_is_one_line(capsys, saved, tmp_path, options):
    wav = tone(tmp_path / "a.wav")
    code, _, errors = run(capsys, "separate", saved, wav, *options.split())
    assert code == 2 and len(errors) == 1 and BAD_OPTIONS[options] in errors[0]
    assert listing(tmp_path) == ["a.wav"]


BAD_CALLS = {
    "evaluate {model} {empty}": "mix_single.json: no such manifest",
    "evaluate {model} {empty} --n-items 0": "--n-items 0",
    "evaluate {bare} {empty}": "does not say its task",
    "evaluate {empty} {empty}": "no model in this folder",
    "profile {empty}": "no model in this folder",
    "profile {model} --seconds 0": "seconds=0",
    "convert {model} {empty}/new.pth": "of this package already",
    "convert {model} {model}": "exists; add --overwrite",
    "convert {empty}/none.pth {empty}/new.pth": "no such file",
    "convert {weights} {empty}/new.pth": "no place for the weight",
    "upload {empty} me/model --dry-run": "no model in this folder",
    "upload {empty}/none me/model --dry-run": "no such file or folder",
    "upload {model} model --dry-run": "not a repository id",
    "upload {model} me/model --dry-run --folder {full}": "exists; name another",
}


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_call_is_one_line_and_writes_nothing(capsys, saved, tmp_path, call):
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full/file").touch()
    torch.save(make().serialize(), tmp_path / "bare.pth")
    torch.save({"other.weight": torch.ones(2)}, tmp_path / "weights.pth")
    shutil.copy(saved, tmp_path / "model.pth")
    names = {n: tmp_path / n for n in ("empty", "full")}
    names |= {n: tmp_path / f"{n}.pth" for n in ("bare", "weights", "model")}
    before = listing(tmp_path)
    code, _, errors = run(capsys, *call.format(**names).split())
    assert code == 2 and len(errors) == 1 and BAD_CALLS[call] in errors[0], errors
    assert listing(tmp_path) == before


def test_how_many_kinds_of_bad_input_are_tried(capsys):
    tables = (BAD_RECORDINGS, BAD_MODELS, BAD_OPTIONS, BAD_CALLS)
    outputs = 5  # full disk twice, file for a folder twice, no permission
    count = outputs + sum(map(len, tables))
    with capsys.disabled():
        print(f"\nlatref: {count} kinds of bad input tried")
    assert count >= 50
