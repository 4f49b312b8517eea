"""Fetching the open corpus, with apt and dpkg replaced by scripts that act on small archives."""

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from asteroid_latref.audio import list_audio, write_audio
from asteroid_latref.data import debian
from asteroid_latref.data.debian_sources import MUSIC, NOT_SPEECH, VOICES
from asteroid_latref.data.layout import SPLITS
from asteroid_latref.data.licenses import LICENSE_KEYS, read_licenses
from asteroid_latref.data.splits import find_split_speakers, split_recordings
from asteroid_latref.errors import LatrefError

TOOLS = {
    # The real ones answer the same to these calls.
    "apt-cache": 'if [ -n "$NO_LISTS" ]; then exit 100; fi; cat "$FAKE/records"',
    "apt-get": """
for argument; do
  case "$argument" in
    update) touch "$FAKE/updated" ;;
    asterisk-*) cp "$FAKE/debs/$argument" "${argument}_1%3a2_all.deb" ;;
  esac
done
if [ -n "$NO_NETWORK" ]; then echo "E: Failed to fetch it" >&2; exit 100; fi
""",
    "dpkg": 'mkdir "$3" && tar -xf "$2" -C "$3"',
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Packages like Debian's, and the commands that know them."""
    fake = tmp_path / "fake"
    (fake / "debs").mkdir(parents=True)
    (fake / "bin").mkdir()
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, 800)
    records = []
    for package in sorted({p for source in (*VOICES, *MUSIC) for p in source.packages}):
        sounds = tmp_path / package / "usr" / "share" / "asterisk"
        names = [f"{source.prefix}{i}" for source in MUSIC for i in range(2)]
        if "moh" not in package:
            names = ["hello", "digits/1", "silence/1", *NOT_SPEECH]
        for name in names:
            write_audio(sounds / f"{name}.wav", wav, 8000)
        write_audio(sounds / "is.wav", wav[:0], 8000)
        with tarfile.open(fake / "debs" / package, "w") as tar:
            tar.add(tmp_path / package, ".")
        shutil.rmtree(tmp_path / package)
        digest = hashlib.sha256((fake / "debs" / package).read_bytes()).hexdigest()
        records.append(f"Package: {package}\nVersion: 1:2\nDescription: x\n y\nSHA256: {digest}\n")
    (fake / "records").write_text("\n".join(records))
    for name, body in TOOLS.items():
        (fake / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (fake / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(fake))
    return fake


def fetch(tmp_path):
    return debian.fetch_recordings(tmp_path / "cache", progress=False)


def test_voices_and_music_are_sorted_and_what_is_no_speech_is_left_out(world, tmp_path):
    speech, music = fetch(tmp_path)
    found, disjoint = find_split_speakers(speech, np.random.default_rng(0))
    assert disjoint
    assert [len(found[split]) for split in SPLITS] == [3, 2, 2]
    assert {path.stem for path in list_audio(speech)} == {"hello", "1"}
    # English and Spanish are one person: twice the files, in one folder.
    assert len(found["tr"]["allison"]) == 2 * len(found["tr"]["carlo"]) == 4
    noises, _ = split_recordings(music, np.random.default_rng(0))
    assert [{r.path.stem[:-1] for r in noises[split]} for split in SPLITS] == [
        {"macroform-"},
        {"reno_project-"},
        {"manolo_camp-"},
    ]
    assert not (speech.parent / "unpacked").exists()
    sums = json.loads((speech.parent / "sha256.json").read_text())
    assert len(sums) == 9 and not (world / "updated").exists()


def test_every_source_has_its_credit(world, tmp_path):
    speech, music = fetch(tmp_path)
    for folder, sources in ((speech, VOICES), (music, MUSIC)):
        credits = read_licenses(folder)
        assert len(credits) == len(sources)
        for credit in credits:
            assert tuple(credit) == LICENSE_KEYS
            assert credit["license_link"].startswith("https://") and credit["author"]


def test_the_data_page_names_every_author_and_licence():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for source in (*VOICES, *MUSIC):
        line = next(line for line in page.splitlines() if source.credit["author"] in line)
        assert source.credit["license"] in line and f"| {source.split} |" in line
        assert all(f"`{package}`" in page for package in source.packages)


def test_what_is_there_is_not_fetched_again(world, tmp_path, monkeypatch):
    first = fetch(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fetch(tmp_path) == first


def test_private_lists_where_the_system_has_none(world, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_LISTS", "1")
    with pytest.raises(LatrefError, match="apt knows no package asterisk.* and 8 more"):
        fetch(tmp_path)
    assert (world / "updated").exists()


def test_network_that_fails(world, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_NETWORK", "1")
    with pytest.raises(LatrefError, match="apt-get failed: E: Failed to fetch it"):
        fetch(tmp_path)


def test_damaged_package_is_refused_and_removed(world, tmp_path):
    victim = world / "debs" / "asterisk-prompt-es-co"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:100])
    with pytest.raises(LatrefError, match="package asterisk-prompt-es-co: came in damaged"):
        fetch(tmp_path)
    assert len(list((tmp_path / "cache" / "packages").iterdir())) == 8
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["packages"]
    victim.write_bytes(whole)
    fetch(tmp_path)


def test_default_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert debian.default_cache() == tmp_path / "asteroid_latref"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(debian.default_cache()) == "/home/someone/.cache/asteroid_latref"


def test_without_apt_it_asks_for_recordings(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LatrefError, match=r"apt-get is not here.*--speech_dir and --noise_dir"):
        fetch(tmp_path)
    assert not (tmp_path / "cache").exists()
