"""The command ``latref``: what it does, and one line for all that can be wrong."""

import json
import os
import re
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile as sf
import torch

from asteroid_latref import GatedSudoRmRf, IterSudoRmRf
from asteroid_latref.cli import main

RATE = 8000
SIZES = dict(n_sub_blocks=1, bn_chan=8, hid_chan=8, n_filters=8, upsampling_depth=2)
as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


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


# ---- separate -------------------------------------------------------------------------------


def test_files_folders_and_patterns(capsys, saved, tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("in/a.wav", "in/deep/a.wav", "b.flac", "[odd] name.ogg"):
        tone(tmp_path / name)
    args = ("separate", saved, tmp_path / "in", tmp_path / "*.[fo]*", "-o", tmp_path / "out")
    code, out, errors = run(capsys, *args)
    names = ("[odd] name", "a", "b", "deep/a")
    assert (code, errors) == (0, [])
    assert listing(tmp_path / "out") == [f"{n}_{s}.wav" for n in names for s in ("noise", "s1")]
    assert out.count("real-time factor") == 4
    code, out, errors = run(capsys, *args)
    assert code == 0 and out.count("skipped, outputs exist") == 4


def test_outputs_beside_the_recordings_are_not_taken_for_recordings(capsys, saved, tmp_path):
    tone(tmp_path / "a.wav")
    tone(tmp_path / "lone_s1.wav")  # a recording of its own: there is no lone.wav
    for extra in ((), ("--overwrite",)):
        assert run(capsys, "separate", saved, tmp_path, *extra)[0] == 0
        files = ["a", "lone_s1"]
        assert len(listing(tmp_path)) == len(files) * 3


def test_json_summary_and_operating_point(capsys, saved, tmp_path):
    wav = tone(tmp_path / "a.wav", channels=2, rate=16_000)
    args = ("--n-blocks", 1, "--n-iters", "1", "--resample", "--json")
    code, out, _ = run(capsys, "separate", saved, wav, tmp_path / "gone.wav", *args)
    said = json.loads(out)
    (done,) = said["files"]
    assert code == 1 and "gone.wav: no such file" in said["errors"][0]
    assert done["note"] == "2 channels mixed down to one, resampled 16000 -> 8000 Hz and back"
    assert done["seconds"] == 0.5 and done["real_time_factor"] > 0 and done["steps"] == []
    assert np.shape(done["gains"]) == (1, 2)
    model = make()
    mix, _ = sf.read(wav)
    est = [sf.read(path)[0] for path in done["outputs"]]
    assert all(len(e) == len(mix) for e in est) and model.n_src == len(est)


def test_steps_of_a_gated_model_are_told(capsys, tmp_path):
    model = GatedSudoRmRf(n_src=2, max_iters=3, gate_kernel=10, gate_bias=float("inf"), **SIZES)
    torch.save(model.serialize(), tmp_path / "gated.pth")
    wav = tone(tmp_path / "a.wav", seconds=4)
    args = ("separate", tmp_path / "gated.pth", wav, "--window", "1", "--overwrite")
    assert "3.00 steps per window" in run(capsys, *args)[1]
    assert "steps per window" not in run(capsys, *args, "--n-iters", "2")[1]


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


# ---- the other commands ----------------------------------------------------------------------


def test_every_command_shows_an_example(capsys):
    for name in ("separate", "evaluate", "profile", "convert", "upload"):
        with pytest.raises(SystemExit) as done:
            main([name, "--help"])
        said = capsys.readouterr().out
        assert done.value.code == 0 and f"example:\n  latref {name} " in said
        assert max(map(len, said.splitlines())) <= 100


def test_profile_prints_a_row_per_operating_point(capsys, saved, tmp_path):
    args = ("profile", saved, "--seconds", "0.2", "--repeats", "0")
    code, out, _ = run(capsys, *args, "-o", tmp_path / "cost.json")
    rows = json.loads((tmp_path / "cost.json").read_text())
    assert code == 0 and len(rows) == len(make().operating_points()) == out.count("\n") - 1
    assert json.loads(run(capsys, *args, "--json")[1]) == rows


def test_convert_asteroids_sudo_rm_rf(capsys, tmp_path):
    from asteroid.models import SuDORMRFImprovedNet

    theirs = SuDORMRFImprovedNet(2, bn_chan=8, num_blocks=1, n_filters=16).eval()
    torch.save(theirs.serialize(), tmp_path / "theirs.pth")
    out = tmp_path / "ours.pth"
    code, said, errors = run(capsys, "convert", tmp_path / "theirs.pth", out, "--task", "sep_clean")
    assert code == 0 and "IterSudoRmRf, 2 outputs" in said, errors
    ours = IterSudoRmRf.from_pretrained(str(out)).eval()
    wav = torch.randn(1, 1, 1000)
    with torch.no_grad():
        torch.testing.assert_close(ours(wav), theirs(wav), rtol=1e-4, atol=1e-5)
    assert ours.task == "sep_clean"


def test_evaluate_and_upload_without_token(capsys, saved, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    manifests = tmp_path / "tt"
    manifests.mkdir()
    parts = {"s1": rng.normal(size=4000) * 0.1, "noise": rng.normal(size=4000) * 0.1}
    parts["mix_single"] = parts["s1"] + parts["noise"]
    for name, wav in parts.items():
        sf.write(tmp_path / f"{name}.wav", wav, RATE)
        (manifests / f"{name}.json").write_text(json.dumps([[str(tmp_path / f"{name}.wav"), 4000]]))
    args = ("evaluate", saved, manifests, "-o", tmp_path / "figures", "--n-examples", "0")
    code, out, errors = run(capsys, *args)
    assert code == 0, errors
    assert "SI-SDRi" in out and (tmp_path / "figures/final_metrics.json").exists()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    code = main(["upload", str(saved), "me/model", "--folder", str(tmp_path / "card")])
    out, err = capsys.readouterr()
    assert code == 0 and "not sent" in out and "no token, so nothing is sent" in err
    assert (tmp_path / "card/README.md").exists()
