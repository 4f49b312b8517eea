"""``latref/NAME``: found in the package and nowhere else, listed, run, heard."""
# ruff: noqa: F811  (fixtures are imported)

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from asteroid.models import BaseModel

from asteroid_latref import BloomConvTasNet, GatedSudoRmRf, IterSudoRmRf
from asteroid_latref.audio import read_audio
from asteroid_latref.commands.demo import DEFAULT_MODEL
from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.errors import LatrefError
from asteroid_latref.evaluate import separated
from asteroid_latref.examples import PARTS, load_examples
from asteroid_latref.gating import si_sdr

from .cli_tools import listing, make, run, tone
from .shelf import empty_shelf, experiment, no_hub, shelf  # noqa: F401

NAME = "latref/tiny-8k"
WAV = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(0))

# ---- names ------------------------------------------------------------------------------------


def test_every_loader_finds_the_file_and_no_hub_is_asked(shelf, experiment):
    trained = IterSudoRmRf.from_pretrained(str(experiment[0] / "best_model.pth")).eval()
    with torch.no_grad():
        for loader in (IterSudoRmRf, BaseModel):
            assert torch.equal(loader.from_pretrained(NAME).eval()(WAV), trained(WAV))
            cut = loader.from_pretrained(NAME, n_blocks=1).eval()
            assert torch.equal(cut(WAV), trained(WAV, n_blocks=1))


@pytest.mark.parametrize("loader", [IterSudoRmRf, BaseModel])
@pytest.mark.parametrize("name", ["latref/nope", "latref/tiny-8k@main", "latref/", "latref/../x"])
def test_unknown_names_list_what_there_is(shelf, loader, name):
    with pytest.raises(LatrefError, match=r"no such bundled model; there are: latref/tiny-8k"):
        loader.from_pretrained(name)


def test_without_any_model_the_error_says_so(empty_shelf, capsys):
    with pytest.raises(LatrefError, match="none in this copy"):
        IterSudoRmRf.from_pretrained("latref/enh-scalable-8k")
    assert run(capsys, "models")[1] == "no models come with this copy of the package\n"
    assert json.loads(run(capsys, "models", "--json")[1]) == []


@pytest.mark.parametrize("other", [GatedSudoRmRf, BloomConvTasNet])
def test_another_class_is_named(shelf, other):
    with pytest.raises(LatrefError, match="IterSudoRmRf.from_pretrained"):
        other.from_pretrained(NAME)


def test_what_is_there_under_that_path_wins(shelf, tmp_path):
    mine = make(n_src=2)
    (tmp_path / "latref" / "tiny-8k").mkdir(parents=True)
    torch.save(mine.serialize(), tmp_path / "latref" / "tiny-8k" / "model.pth")
    assert IterSudoRmRf.from_pretrained(NAME).n_iters == mine.n_iters != (1, 1)


# ---- commands ---------------------------------------------------------------------------------


def test_commands_right_after_install(capsys, shelf, experiment, tmp_path):
    wav = tone(tmp_path / "a.wav", seconds=0.5)
    code, _, errors = run(capsys, "separate", NAME, wav, "-o", tmp_path / "out")
    assert (code, errors) == (0, []) and listing(tmp_path / "out") == ["a_noise.wav", "a_s1.wav"]
    other = tone(tmp_path / "b.wav", rate=16_000)
    code, _, (error,) = run(capsys, "separate", NAME, other, "-o", tmp_path / "out")
    assert code == 2 and "b.wav: sampled at 16000 Hz" in error and "--resample" in error
    assert run(capsys, "separate", NAME, other, "-o", tmp_path / "out", "--resample")[0] == 0
    assert run(capsys, "profile", NAME, "--seconds", "0.2", "--repeats", "0")[0] == 0
    args = ("evaluate", NAME, experiment[1], "-o", tmp_path / "figures", "--n-examples", "0")
    found = json.loads(run(capsys, *args, "--json", "--device", "cpu")[1])
    final = json.loads((experiment[0] / "final_metrics.json").read_text())
    assert found["exits"] == final["exits"]


def test_models_lists_what_the_files_say(capsys, shelf, experiment):
    final = json.loads((experiment[0] / "final_metrics.json").read_text())
    (row,) = json.loads(run(capsys, "models", "--json")[1])
    assert row["name"] == NAME and row["task"] == "enh_single" and row["model"] == "IterSudoRmRf"
    assert row["parameters"] == final["model"]["n_params"] and row["exit_blocks"] == [1, 2]
    assert row["bytes"] == (shelf / "tiny-8k" / "model.pth").stat().st_size
    assert [e["si_sdr_imp"] for e in row["exits"]] == [e["si_sdr_imp"] for e in final["exits"]]
    steps = 10 // 4  # batches of four out of ten mixtures, the rest dropped
    assert (row["epochs"], row["optimizer_steps"]) == (2, 2 * steps)
    assert row["license"] == "cc-by-sa-4.0" and row["dataset"] == "TinyCorpus"
    table = run(capsys, "models")[1]
    figures = ", ".join(f"{e['si_sdr_imp']:.2f}" for e in final["exits"])
    for cell in (NAME, "2 exits", figures, "cc-by-sa-4.0", f"{row['parameters']:,}"):
        assert cell in table and cell in run(capsys, "models", "--markdown")[1]


def test_the_page_as_written(capsys, shelf, tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "bundled.md").read_text()
    for name in set(re.findall(r"latref/([\w-]+)", page)) - {"NAME"} | {DEFAULT_MODEL[7:]}:
        if not (shelf / name).exists():
            shutil.copytree(shelf / "tiny-8k", shelf / name)
    tone(tmp_path / "talk.wav")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", page, flags=re.M | re.S)
    for language, text in blocks:
        if language == "python":
            exec(compile(text, "page", "exec"), {})
            continue
        for line in text.splitlines():
            code, _, errors = run(capsys, *line.split()[1:])
            assert (code, errors) == (0, []), line
    assert len(blocks) == 4 and (tmp_path / "latref_demo" / "metrics.json").is_file()


# ---- the demo ---------------------------------------------------------------------------------


def test_examples_are_the_mixtures_of_the_test_set(shelf, experiment):
    dataset = WhamDataset(experiment[1], "sep_noisy", segment=None)
    items = {len(dataset[i][0]): dataset[i] for i in range(len(dataset))}
    examples = load_examples("sep_noisy", 8000)
    assert [e.name for e in examples] == ["lower_quartile", "median", "upper_quartile"]
    for example in examples:
        mixture, targets = items[len(example.mixture)]
        torch.testing.assert_close(example.mixture, mixture, atol=2**-15, rtol=0)
        torch.testing.assert_close(example.targets, targets, atol=2**-15, rtol=0)
    assert torch.equal(load_examples("sep_clean", 8000)[0].mixture, examples[0].targets[:2].sum(0))
    with pytest.raises(LatrefError, match="16000 Hz is needed"):
        load_examples("enh_single", 16_000)
    readme = (shelf / "examples" / "README.md").read_text()
    assert "Tones" in readme and "CC BY-SA 4.0" in readme


def test_demo_writes_every_exit_and_measures_what_it_wrote(capsys, shelf, tmp_path):
    code, said, errors = run(capsys, "demo", NAME, "-o", tmp_path / "out")
    assert (code, errors) == (0, []), errors
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    names = ["lower_quartile", "median", "upper_quartile"]
    assert [m["name"] for m in figures["mixtures"]] == names
    wavs = {f"{s}{k}" for s in ("s1", "noise") for k in ("", "_exit1", "_exit2")} | {"mixture"}
    model = IterSudoRmRf.from_pretrained(NAME).eval()
    for mixture, example in zip(
        figures["mixtures"], load_examples("enh_single", 8000), strict=True
    ):
        folder = tmp_path / "out" / mixture["name"]
        assert set(listing(folder)) == {f"{w}.wav" for w in wavs} | {"spectrogram.png"}
        truth = torch.from_numpy(read_audio(folder / "s1.wav", 8000)[0].T)
        expected = separated(model, example.mixture, example.targets, 1)
        for reading, est in zip(mixture["readings"], expected, strict=True):
            assert reading["si_sdr"] == pytest.approx(
                si_sdr(est[:1], example.targets[:1]), abs=1e-4
            )
            heard = torch.from_numpy(read_audio(folder / f"s1_{reading['key']}.wav", 8000)[0].T)
            assert si_sdr(heard, truth) == pytest.approx(reading["si_sdr"], abs=0.1)
            assert f"{reading['si_sdr_imp']:+.2f}" in said
    height = sf_png_height(tmp_path / "out" / "median" / "spectrogram.png")
    assert height > 4 * 100  # mixture, target and two exits below each other


def sf_png_height(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[20:24], "big")


def test_demo_of_a_gated_separator(capsys, shelf, tmp_path):
    sizes = dict(n_sub_blocks=1, bn_chan=8, hid_chan=8, n_filters=8, upsampling_depth=2)
    gated = GatedSudoRmRf(n_src=3, max_iters=2, gate_kernel=20, gate_bias=float("inf"), **sizes)
    gated.task = "sep_noisy"
    torch.save(gated.serialize(), tmp_path / "gated.pth")
    args = ("demo", tmp_path / "gated.pth", "-o", tmp_path / "out", "--json")
    figures = json.loads(run(capsys, *args)[1])
    for mixture in figures["mixtures"]:
        gate, first, second = mixture["readings"]
        assert gate["n_steps"] == 2 and gate["key"] == "gate" and len(gate["si_sdr_of_each"]) == 2
        assert gate["si_sdr"] == pytest.approx(second["si_sdr"], abs=1e-3)
        assert [first["n_iters"], second["n_iters"]] == [[1], [2]]
        assert (tmp_path / "out" / mixture["name"] / "s2_iterations1.wav").is_file()


def test_a_demo_that_fails_leaves_nothing(capsys, shelf, tmp_path):
    sf.write(shelf / "examples" / "median" / "s1.flac", np.zeros(9), 8000)
    code, _, (error,) = run(capsys, "demo", NAME, "-o", tmp_path / "out")
    assert code == 2 and "median: its files differ in length" in error
    (shelf / "examples" / "upper_quartile" / "noise.flac").unlink()
    assert run(capsys, "demo", NAME, "-o", tmp_path / "out")[0] == 2
    assert not [p for p in tmp_path.iterdir() if p.name.startswith((".part", "out"))]


def test_a_demo_overwrites_only_demos(capsys, shelf, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for extra in ((), ("--overwrite",)):
        code, _, (error,) = run(capsys, "demo", NAME, "-o", tmp_path / "mine", *extra)
        assert code == 2 and "no earlier demo" in error
    assert listing(tmp_path / "mine") == ["thesis.txt"]
    assert run(capsys, "demo", NAME, "-o", tmp_path / "out")[0] == 0
    assert "add --overwrite" in run(capsys, "demo", NAME, "-o", tmp_path / "out")[2][0]
    assert run(capsys, "demo", NAME, "-o", tmp_path / "out", "--overwrite")[0] == 0


def test_demo_needs_a_task_that_fits(capsys, shelf, tmp_path):
    for task, words in ((None, "does not say its task"), ("sep_noisy", "4 outputs do not fit")):
        model = make(n_src=4)
        model.task = task
        torch.save(model.serialize(), tmp_path / "m.pth")
        code, _, (error,) = run(capsys, "demo", tmp_path / "m.pth", "-o", tmp_path / "out")
        assert code == 2 and words in error
    assert PARTS and not (tmp_path / "out").exists()
