"""The corpus builder: levels, splits, seeds, interruption, and what it says about bad input."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from asteroid_latref.audio import list_audio, read_audio, write_audio
from asteroid_latref.data import WhamDataset, open_corpus
from asteroid_latref.data.layout import FOLDERS, SPLITS
from asteroid_latref.data.manifests import write_manifests
from asteroid_latref.data.open_corpus import CorpusOptions, build_corpus
from asteroid_latref.errors import LatrefError

from .sounds import RATE, make_noise, make_speech, voice

KINDS = ("recordings", "babble", "shaped")
OPTIONS = CorpusOptions(n_tr=9, n_cv=3, n_tt=6, noise_kinds=KINDS, seconds=(1.0, 2.0), seed=1)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    make_speech(root / "speech")
    make_noise(root / "noise")
    return root / "speech", root / "noise"


@pytest.fixture(scope="module")
def corpus(recordings, tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    assert build(root, recordings) == root / "wav8k" / "min"
    return root


def build(root, recordings, options=OPTIONS):
    return build_corpus(root, *recordings, options, progress=False)


def fails(match, *args):
    with pytest.raises(LatrefError, match=match) as caught:
        build(*args)
    assert "\n" not in str(caught.value)


def items(root, split):
    """Description and int64 signals of each mixture."""
    for item in json.loads((root / f"items_{split}.json").read_text()):
        wavs = {}
        for folder in FOLDERS:
            wav, _ = read_audio(root / "wav8k/min" / split / folder / item["file"], RATE)
            wavs[folder] = np.round(wav[:, 0] * 32768).astype(np.int64)
        yield item, wavs


def all_items(root):
    return [found for split in SPLITS for found in items(root, split)]


def digest(root):
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path(root).rglob("*"))
        if p.is_file()
    }


def level(wav):
    return 10 * np.log10(np.square(wav.astype(float)).mean())


def test_as_many_as_asked_for_in_whams_layout(corpus):
    for split, n_items in zip(SPLITS, (9, 3, 6), strict=True):
        for folder in FOLDERS:
            assert len(list((corpus / "wav8k/min" / split / folder).iterdir())) == n_items


def test_sources_add_up_exactly(corpus):
    for _, wavs in all_items(corpus):
        assert np.array_equal(wavs["mix_clean"], wavs["s1"] + wavs["s2"])
        assert np.array_equal(wavs["mix_single"], wavs["s1"] + wavs["noise"])
        assert np.array_equal(wavs["mix_both"], wavs["s1"] + wavs["s2"] + wavs["noise"])


def test_levels_are_whams_and_as_described(corpus):
    for item, wavs in all_items(corpus):
        snr = level(wavs["s1"]) - level(wavs["noise"])
        below = level(wavs["s1"]) - level(wavs["s2"])
        assert -6.01 <= snr <= 3.01 and abs(snr - item["snr_db"]) < 0.02
        assert -0.01 <= below <= 5.01 and abs(below - item["second_db"]) < 0.02


def test_lengths(corpus):
    for item, wavs in all_items(corpus):
        assert {len(wav) for wav in wavs.values()} == {item["n_samples"]}
        assert 8000 <= item["n_samples"] <= 16000


def test_nobody_is_in_two_splits_nor_twice_in_a_mixture(corpus):
    said = json.loads((corpus / "corpus.json").read_text())
    heard = {s: {name for item, _ in items(corpus, s) for name in item["speakers"]} for s in SPLITS}
    for split in SPLITS:
        assert heard[split] == set(said["speakers"][split])
        assert len(said["speakers"][split]) >= 2
    assert sum(map(len, heard.values())) == len(set.union(*heard.values())) == 7
    assert said["speakers_disjoint"]
    noises = [set(said["noise"][split]) for split in SPLITS]
    assert sum(map(len, noises)) == len(set.union(*noises)) == 4
    assert all(len(set(item["speakers"])) == 2 for item, _ in all_items(corpus))


def test_every_kind_of_noise_is_there(corpus):
    for split in SPLITS:
        assert {item["noise"] for item, _ in items(corpus, split)} == set(KINDS)


def test_same_seed_same_bytes_other_seed_other_bytes(corpus, recordings, tmp_path):
    build(tmp_path / "again", recordings)
    assert digest(tmp_path / "again") == digest(corpus)
    other = CorpusOptions(**{**vars(OPTIONS), "seed": 2})
    build(tmp_path / "other", recordings, other)
    assert not set(digest(tmp_path / "other").values()) & set(digest(corpus).values())


def test_killed_build_continues_to_the_same_bytes(corpus, recordings, tmp_path, monkeypatch):
    written = []

    def dying(path, wav, rate):
        written.append(path)
        if len(written) == 25:
            Path(path).with_name(".part-dead.wav").write_bytes(b"half")
            raise KeyboardInterrupt
        write_audio(path, wav, rate)

    with monkeypatch.context() as patch:
        patch.setattr(open_corpus, "write_audio", dying)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, recordings)
    with pytest.raises(LatrefError, match="not finished"):
        write_manifests(tmp_path / "wav8k/min", tmp_path / "json", RATE, tmp_path, progress=False)
    old = {path: path.stat().st_mtime_ns for path in written[:18]}
    build(tmp_path, recordings)
    assert digest(tmp_path) == digest(corpus)
    assert {path: path.stat().st_mtime_ns for path in old} == old


def test_finished_corpus_is_recognised_without_reading(corpus, recordings, monkeypatch):
    before = digest(corpus)
    monkeypatch.setattr(open_corpus, "load_speech", None)
    build(corpus, recordings)
    assert digest(corpus) == before


def test_other_options_for_the_same_folder(corpus, recordings, tmp_path):
    before = digest(corpus)
    fails(
        "n_tr 9, not 8; choose another",
        corpus,
        recordings,
        CorpusOptions(**{**vars(OPTIONS), "n_tr": 8}),
    )
    make_noise(tmp_path / "noise", n_files=2)
    fails("other noise recordings", corpus, (recordings[0], tmp_path / "noise"))
    assert digest(corpus) == before


def test_full_disk_leaves_whole_files_only(recordings, tmp_path, monkeypatch):
    write, left = Path.write_bytes, [20]

    def filling(self, data):
        left[0] -= 1
        if left[0] < 0:
            write(self, bytes(data)[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", filling)
    fails("no space left", tmp_path, recordings)
    wavs = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix == ".wav"]
    assert len(wavs) == 20
    assert all(read_audio(p)[0].size >= 8000 for p in wavs)


def test_the_data_set_takes_it_with_its_credits(corpus, recordings, tmp_path):
    counts = write_manifests(corpus / "wav8k/min", tmp_path, RATE, corpus, progress=False)
    assert counts == {"tr": 9, "cv": 3, "tt": 6}
    dataset = WhamDataset(tmp_path / "tr", "sep_noisy", segment=1.0)
    mixture, targets = dataset[0]
    assert np.array_equal(mixture, targets.sum(0))
    infos = dataset.get_infos()
    assert infos["dataset"] == "OpenCorpus"
    assert [credit["title"] for credit in infos["licenses"]] == ["speech", "noise"]
    assert all(credit["non_commercial"] for credit in infos["licenses"])


def test_split_that_is_given_and_licences_are_taken(tmp_path):
    for number, split in enumerate(SPLITS):
        make_speech(tmp_path / "speech" / split, n_speakers=2, n_files=2)
        for i in range(2):
            folder = tmp_path / "speech" / split
            (folder / f"speaker{i}").rename(folder / f"{split}{i}")
        make_noise(tmp_path / "noise" / split, n_files=1 + number)
    credit = dict.fromkeys(("title", "title_link", "author", "author_link", "license"), "x")
    credit |= {"license_link": "x", "non_commercial": False}
    (tmp_path / "speech" / "licenses.json").write_text(json.dumps([credit]))
    build(tmp_path / "out", (tmp_path / "speech", tmp_path / "noise"), small())
    said = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert said["speakers"] == {split: [f"{split}0", f"{split}1"] for split in SPLITS}
    assert said["licenses"]["speech"] == [credit]
    (tmp_path / "speech" / "licenses.json").write_text('[{"title": 1}]')
    fails(
        "licenses.json: a licence lacks author",
        tmp_path / "b",
        (tmp_path / "speech", tmp_path / "noise"),
        small(),
    )


def small(**options):
    return CorpusOptions(n_tr=2, n_cv=1, n_tt=1, seconds=(0.5, 0.6), **options)


def test_other_rates_and_channels_are_resampled_and_mixed_down(tmp_path):
    for i in range(6):
        wav = np.repeat(voice(100 + 20 * i, 2.0, i), 2)
        write_audio(tmp_path / "speech" / f"s{i}" / "a.flac", np.stack([wav, wav], 1), 16000)
    make_noise(tmp_path / "noise", rate=11025)
    folders = (tmp_path / "speech", tmp_path / "noise")
    build(tmp_path / "out", folders, small())
    assert all(item["n_samples"] == len(wavs["s1"]) for item, wavs in all_items(tmp_path / "out"))
    wav_dir = build(tmp_path / "out16", folders, small(sample_rate=16000))
    assert wav_dir == tmp_path / "out16" / "wav16k" / "min"


def test_bad_folders_and_options(recordings, tmp_path):
    speech, noise = recordings
    fails("nowhere: no such folder", tmp_path / "a", (tmp_path / "nowhere", noise))
    (tmp_path / "empty").mkdir()
    fails("empty: holds no sound files", tmp_path / "a", (speech, tmp_path / "empty"))
    fails("put each speaker's files in a subfolder", tmp_path / "a", (noise, noise))
    make_speech(tmp_path / "one", n_speakers=1)
    fails("at least 2 speakers", tmp_path / "a", (tmp_path / "one", noise))
    fails("n_cv must be at least 1", tmp_path / "a", recordings, CorpusOptions(n_cv=0))
    fails(
        "noise_kinds must be some of", tmp_path / "a", recordings, CorpusOptions(noise_kinds=("x",))
    )
    make_speech(tmp_path / "two", n_speakers=2)
    fails("babble needs", tmp_path / "b", (tmp_path / "two", noise), small(noise_kinds=("babble",)))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "empty file"), (b"RIFF not a wav", "not a readable sound file")],
)
def test_bad_recording_is_named(recordings, tmp_path, content, match):
    shutil.copytree(recordings[0], tmp_path / "speech")
    victim = list_audio(tmp_path / "speech")[3]
    victim.write_bytes(content)
    fails(f"{victim}: {match}", tmp_path / "out", (tmp_path / "speech", recordings[1]))


def test_damaged_corpus_file(recordings, tmp_path):
    (tmp_path / "corpus.json").write_text("{")
    fails("corpus.json: not a corpus description", tmp_path, recordings)


def test_two_speakers_and_one_noise_are_enough(tmp_path):
    make_speech(tmp_path / "speech", n_speakers=2, n_files=4)
    make_noise(tmp_path / "noise", n_files=1)
    build(tmp_path / "out", (tmp_path / "speech", tmp_path / "noise"), small())
    said = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert not said["speakers_disjoint"] and not said["noise_disjoint"]


def test_babble_is_of_voices_that_are_not_in_the_mixture(recordings, tmp_path, monkeypatch):
    heard = []

    def listening(voices, length, rng):
        heard.append({voice.name for voice in voices})
        return rng.standard_normal(length)

    monkeypatch.setattr(open_corpus, "babble", listening)
    build(tmp_path, recordings, CorpusOptions(**{**vars(OPTIONS), "noise_kinds": ("babble",)}))
    items_in_order = [
        item for s in SPLITS for item in json.loads((tmp_path / f"items_{s}.json").read_text())
    ]
    assert len(heard) == len(items_in_order) == 18
    for voices, item in zip(heard, items_in_order, strict=True):
        assert voices and not voices & set(item["speakers"])
