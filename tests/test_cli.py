"""The command ``latref``: what it does with good input."""
# ruff: noqa: F811  (fixtures are imported)

import json

import numpy as np
import pytest
import soundfile as sf
import torch

from asteroid_latref import GatedSudoRmRf, IterSudoRmRf
from asteroid_latref.cli import main

from .cli_tools import RATE, SIZES, listing, make, run, saved, tone  # noqa: F401

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


# ---- the other commands ----------------------------------------------------------------------


def test_every_command_shows_an_example(capsys):
    for name in ("models", "demo", "separate", "evaluate", "profile", "convert", "upload"):
        with pytest.raises(SystemExit) as done:
            main([name, "--help"])
        said = capsys.readouterr().out
        assert done.value.code == 0 and f"example:\n  latref {name}" in said
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
