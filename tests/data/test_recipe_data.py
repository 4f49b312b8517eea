"""The recipe's option parser and its data stages, as a shell runs them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from asteroid_latref.audio import read_audio, write_audio
from asteroid_latref.data import WhamDataset, published
from asteroid_latref.data.layout import FOLDERS, SPLITS
from asteroid_latref.data.sphere import convert_sphere, convert_wsj0
from asteroid_latref.errors import LatrefError

from .sounds import make_noise, make_speech

RECIPE = Path(__file__).parents[2] / "egs" / "wham"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

SCRIPT = """#!/usr/bin/env bash
# Says what it was given.
#   --name TEXT
set -euo pipefail

name=nobody
stage=3
flag=false
empty=
. {parser}
echo "$name|$stage|$flag|$empty|$*"
"""


@pytest.fixture
def say(tmp_path):
    script = tmp_path / "say.sh"
    script.write_text(SCRIPT.format(parser=RECIPE / "utils" / "parse_options.sh"))

    def run(*args):
        done = subprocess.run(["bash", script, *args], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    return run


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "nobody|3|false||"),
        (("--name", "a b", "--stage", "1"), "a b|1|false||"),
        (("--name=x=y", "--empty="), "x=y|3|false||"),
        (("--flag", "true", "--empty", "full"), "nobody|3|true|full|"),
        (("--name", "--dash", "rest", "--stage"), "--dash|3|false||rest --stage"),
        (("--stage", "2", "--", "--name", "x"), "nobody|2|false||--name x"),
        (("--name", "$(echo 'x')`id`; exit 1"), "$(echo 'x')`id`; exit 1|3|false||"),
    ],
)
def test_options_set_variables(say, args, said):
    assert say(*args) == (0, said, "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--nmae", "x"), "error: unknown option --nmae (--help lists the options)"),
        (("--stage",), "error: option --stage needs a value (--help lists the options)"),
        (("-s", "1"), "error: unknown option -s (--help lists the options)"),
        (("--flag", "yes"), "error: option --flag takes true or false, not 'yes'"),
        (("--na;me", "x"), "error: unknown option --na;me (--help lists the options)"),
    ],
)
def test_bad_options_are_one_line(say, args, message):
    assert say(*args) == (2, "", message)


def test_help_is_the_comment_at_the_top(say):
    assert say("--help") == (0, "Says what it was given.\n  --name TEXT", "")


@pytest.fixture
def prepare(tmp_path):
    """Runs the data stages in a copy of the recipe's folder."""
    shutil.copytree(RECIPE / "local", tmp_path / "local")
    shutil.copytree(RECIPE / "utils", tmp_path / "utils")
    package = str(RECIPE.parents[1])
    env = {**os.environ, "PYTHONPATH": package, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*args, script="prepare_data", **more):
        command = ["bash", f"local/{script}.sh", "--python", sys.executable, *map(str, args)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**env, **more}, capture_output=True, text=True, check=False
        )
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        return done.returncode, done.stdout, errors

    return run


def test_own_recordings_from_stage_2_alone(prepare, tmp_path):
    make_speech(tmp_path / "speech", n_speakers=6, n_files=2)
    make_noise(tmp_path / "noise", n_files=3)
    own = ("--speech_dir", "speech", "--noise_dir", "noise", "--n_tr", 3, "--n_cv", 1, "--n_tt", 1)
    code, out, errors = prepare("--stage", 2, *own)
    assert (code, errors) == (0, []), errors
    assert "no mixtures in data/open_corpus yet" in out
    dataset = WhamDataset(tmp_path / "data" / "wav8k" / "min" / "tr", "sep_noisy")
    assert len(dataset) == 3 and dataset.get_infos()["dataset"] == "OwnCorpus"


@pytest.fixture
def reference(prepare, tmp_path):
    """The reference corpus of two utterances, up to the call that would mix it."""
    (tmp_path / "local/prepare_data.sh").write_text("#!/usr/bin/env bash\necho mixing $*\n")
    sums = []
    for name, chapter in (("1-2-0000", "1/2"), ("3-4-0001", "3/4")):
        path = tmp_path / "libri" / chapter / f"{name}.flac"
        write_audio(path, np.zeros(8), 8000)
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name[0]}/{path.name}")
    (tmp_path / "local/reference/speech.sha256").write_text("\n".join(sums) + "\n")
    make_noise(tmp_path / "ambience", n_files=1)
    (tmp_path / "local/reference/noise.sha256").write_text(f"{'0' * 64}  noise0.flac\n")
    return lambda *args: prepare(*args, "--noise_dir", "ambience", script="prepare_reference")


def test_the_reference_takes_the_listed_utterances_and_tells_other_recordings(reference, tmp_path):
    code, out, errors = reference("--librispeech_dir", "libri")
    assert (code, errors) == (0, [])
    root = tmp_path / "data/reference"
    linked = sorted(str(p.relative_to(root)) for p in (root / "speech").rglob("*.flac"))
    assert linked == ["speech/1/1-2-0000.flac", "speech/3/3-4-0001.flac"]
    assert json.loads((root / "noise/licenses.json").read_text())[0]["title"] == "Birds"
    assert "data/reference/noise: not the recordings of the reference" in out
    assert "speech: not the recordings" not in out
    assert "mixing --stage 1 --speech_dir data/reference/speech" in out
    assert reference("--speech_dir", "data/reference/speech", "--out_dir", "again")[0] == 0
    assert len(list((tmp_path / "again/speech").rglob("*.flac"))) == 2


def test_the_reference_names_what_is_missing(reference, tmp_path):
    (tmp_path / "libri/3/4/3-4-0001.flac").unlink()
    code, _, errors = reference("--librispeech_dir", "libri")
    assert code == 2 and "libri/3/4/3-4-0001.flac: not there" in errors[0]
    code, _, errors = reference("--speech_dir", "nowhere")
    assert code == 2 and "--speech_dir 'nowhere': no such folder" in errors[0]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--sample_rate", "44100"), "--sample_rate takes 8000 or 16000"),
        (("--n_tr", "many"), "--n_tr takes a whole number, not 'many'"),
        (("--mode", "max"), "only WHAM! has it"),
        (("--wsj0_dir", "x"), "belong together"),
        (("--speech_dir", "x"), "belong together"),
        (("--wham_wav_dir", "nowhere"), "nowhere/wav8k/min: no such folder"),
        (("--wsj0_dir", "nowhere", "--wham_noise_dir", "x"), "neither sphere nor wav"),
        (("--stage", "0", "extra"), "unexpected argument 'extra'"),
    ],
)
def test_bad_options_of_the_data_stages(prepare, tmp_path, args, message):
    code, _, errors = prepare(*args)
    assert code == 2 and len(errors) == 1 and message in errors[0]
    assert not (tmp_path / "data").exists()


def write_sphere(path, wav):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, wav, 16000, format="NIST", subtype="PCM_16")


def test_sphere_becomes_wav_below_wsj0(tmp_path):
    wav = np.random.default_rng(0).integers(-999, 999, 800).astype(np.int16)
    write_sphere(tmp_path / "discs/11-1.1/wsj0/si_tr_s/01t/a.wv1", wav)
    write_sphere(tmp_path / "discs/11-6.1/WSJ0/si_dt_05/b.sph", wav)
    write_sphere(tmp_path / "discs/11-1.1/wsj0/si_tr_s/01t/a.wv2", wav)
    assert convert_wsj0(tmp_path / "discs", tmp_path / "out", progress=False) == 2
    for name in ("si_tr_s/01t/a.wav", "si_dt_05/b.wav"):
        back, rate = read_audio(tmp_path / "out" / "wsj0" / name)
        assert rate == 16000 and np.array_equal(back[:, 0] * 32768, wav)


def test_shortened_sphere_needs_sph2pipe(tmp_path, monkeypatch):
    head = b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    (tmp_path / "a.wv1").write_bytes(head.ljust(1024) + bytes(100))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LatrefError, match=r"a\.wv1: compressed with shorten; put sph2pipe"):
        convert_sphere(tmp_path / "a.wv1", tmp_path / "a.wav")
    tool = tmp_path / "sph2pipe"
    tool.write_text("#!/bin/sh\necho 'bad magic' >&2\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(LatrefError, match="sph2pipe failed .bad magic"):
        convert_sphere(tmp_path / "a.wv1", tmp_path / "a.wav")
    assert sorted(os.listdir(tmp_path)) == ["a.wv1", "sph2pipe"]
    write_audio(tmp_path / "real.wav", np.zeros(10), 16000)
    tool.write_text(f'#!/bin/sh\n/bin/cp {tmp_path}/real.wav "$4"\n')
    convert_sphere(tmp_path / "a.wv1", tmp_path / "a.wav")
    assert read_audio(tmp_path / "a.wav")[0].shape == (10, 1)
    (tmp_path / "b.wv1").write_bytes(b"RIFF")
    with pytest.raises(LatrefError, match=r"b\.wv1: not a sphere file"):
        convert_sphere(tmp_path / "b.wv1", tmp_path / "b.wav")


def test_wham_is_left_to_its_own_scripts(tmp_path, monkeypatch):
    for folder in ("wsj0/wsj0", *(f"noise/{name}" for name in (*SPLITS, "metadata")), "scripts"):
        (tmp_path / folder).mkdir(parents=True)
    folders = [tmp_path / name for name in ("wsj0", "noise", "out", "scripts")]
    with pytest.raises(LatrefError, match=r"holds no create_wham_from_scratch\.py"):
        published.mix_wham(*folders)
    script = tmp_path / "scripts" / "create_wham_from_scratch.py"
    script.write_text("import json, os, sys; json.dump([os.getcwd(), sys.argv], open('ran', 'w'))")
    published.mix_wham(*folders)
    folder, argv = json.loads((tmp_path / "scripts" / "ran").read_text())
    assert folder == str(tmp_path / "scripts")
    assert argv[1:] == [
        f"--wsj0-root={folders[0]}",
        f"--wham-noise-root={folders[1]}",
        f"--output-dir={folders[2]}",
    ]
    script.write_text("raise SystemExit(3)")
    with pytest.raises(LatrefError, match="failed with status 3"):
        published.mix_wham(*folders)
    (tmp_path / "noise" / "cv").rmdir()
    with pytest.raises(LatrefError, match=r"noise: holds no folder cv \(wham_noise_dir\)"):
        published.mix_wham(*folders)
    monkeypatch.setattr(published, "_N_ITEMS", dict.fromkeys(SPLITS, 0))
    for split in SPLITS:
        for name in FOLDERS:
            (tmp_path / "out" / "wav8k" / "min" / split / name).mkdir(parents=True)
    published.mix_wham(*folders)


def test_scripts_that_cannot_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "_URL", (tmp_path / "none.tar.gz").as_uri())
    for folder in ("wsj0/wsj0", *(f"noise/{name}" for name in (*SPLITS, "metadata"))):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(LatrefError, match="cannot be fetched.*--wham_scripts_dir"):
        published.mix_wham(tmp_path / "wsj0", tmp_path / "noise", tmp_path / "out")
