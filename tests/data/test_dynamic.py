"""Dynamic mixing: new mixtures every epoch, of training recordings alone, at the levels asked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from asteroid_latref.data.dynamic import DynamicMixtures
from asteroid_latref.data.manifests import write_manifests
from asteroid_latref.data.open_corpus import CorpusOptions, build_corpus
from asteroid_latref.data.pool import read_pool
from asteroid_latref.data.splits import find_split_speakers, split_recordings
from asteroid_latref.data.wham import TASKS
from asteroid_latref.errors import LatrefError

from .sounds import RATE, make_noise, make_speech

OPTIONS = CorpusOptions(
    n_tr=2,
    n_cv=2,
    n_tt=2,
    noise_kinds=("recordings", "babble", "shaped"),
    seconds=(1.0, 2.0),
    pool_hours=0.1,
)


def make(root, options=OPTIONS):
    make_speech(root / "speech")
    make_noise(root / "noise")
    wavs = build_corpus(root, root / "speech", root / "noise", options, progress=False)
    write_manifests(wavs, root / "json", RATE, root, progress=False)
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make(tmp_path_factory.mktemp("corpus"))


def mixtures(corpus, task="sep_noisy", **options):
    return DynamicMixtures(corpus / "json" / "tr", task, 24, RATE, segment=1.0, **options)


def power_db(wav):
    return 10 * torch.log10(wav.square().mean(-1))


@pytest.mark.parametrize("task", TASKS)
def test_items_are_those_of_the_task(corpus, task):
    mixture, targets = mixtures(corpus, task)[0]
    assert targets.shape == (len(TASKS[task].slots), RATE) and mixture.dtype == torch.float32
    assert torch.equal(mixture, targets.sum(0))
    with pytest.raises(IndexError):
        mixtures(corpus, task)[24]


def test_levels_are_those_of_the_corpus(corpus):
    _, targets = next(iter(DataLoader(mixtures(corpus), batch_size=24)))
    s1, s2, noise = power_db(targets).T
    for difference, (low, high) in ((s1 - s2, OPTIONS.second_db), (s1 - noise, OPTIONS.snr_db)):
        assert low - 0.01 <= difference.min() and difference.max() <= high + 0.01
        assert difference.max() - difference.min() > (high - low) / 2


def test_items_depend_on_seed_epoch_and_index_alone(corpus):
    dataset = mixtures(corpus)
    first = [dataset[i][0] for i in range(4)]
    loaded = list(DataLoader(dataset, batch_size=None, num_workers=1))[:4]
    assert all(torch.equal(a, b[0]) for a, b in zip(first, loaded, strict=True))
    dataset.set_epoch(1)
    assert not any(torch.equal(dataset[i][0], first[i]) for i in range(4))
    dataset.set_epoch(0)
    assert torch.equal(dataset[2][0], first[2])
    assert not torch.equal(mixtures(corpus, seed=1)[0][0], first[0])


def test_speakers_and_noise_are_those_of_the_training_split(corpus):
    told = json.loads((corpus / "corpus.json").read_text())
    index = json.loads((corpus / "pool" / "pool.json").read_text())
    assert sorted(index["voices"]) == told["speakers"]["tr"]
    assert sorted(name for name, _ in index["noises"]) == told["noise"]["tr"]
    voices = read_pool(corpus / "pool").voices
    heard = np.concatenate([phrase for voice in voices for phrase in voice.phrases])
    _, targets = mixtures(corpus)[0]
    for source in targets[:2].numpy():
        part = source[1000:1400]
        scores = np.correlate(heard.astype(float), part, "valid")
        energy = np.convolve(np.square(heard, dtype=float), np.ones(len(part)), "valid")
        similarity = scores / np.sqrt(np.maximum(energy, 1.0)) / np.linalg.norm(part)
        assert similarity.max() > 0.999


def test_a_pool_that_is_not_there_is_one_line(corpus, tmp_path):
    without = make(tmp_path, replace(OPTIONS, pool_hours=0.0))
    with pytest.raises(LatrefError, match="--pool_hours"):
        mixtures(without)
    with pytest.raises(LatrefError, match="n_mixtures must be at least 1, not -3"):
        DynamicMixtures(corpus / "json" / "tr", "enh_single", -3)
    with pytest.raises(LatrefError, match="pool_hours must be 0 or more, not -1"):
        replace(OPTIONS, pool_hours=-1).check()
    with pytest.raises(LatrefError, match="8000 Hz, not 16000"):
        DynamicMixtures(corpus / "json" / "tr", "enh_single", 1, 16000)


def test_a_damaged_pool_is_one_line(tmp_path):
    root = make(tmp_path)
    np.save(root / "pool" / "speech.npy", np.zeros(5, np.int16))
    with pytest.raises(LatrefError, match="no training recordings to mix"):
        mixtures(root)


def test_of_several_folders_each_is_divided_by_itself(tmp_path):
    make_speech(tmp_path / "a", n_speakers=6)
    make_speech(tmp_path / "b" / "x", n_speakers=6)
    (tmp_path / "b" / "x").rename(tmp_path / "b2")
    for speaker in list((tmp_path / "b2").iterdir()):
        speaker.rename(tmp_path / "b2" / f"other-{speaker.name}")
    folders = [tmp_path / "a", tmp_path / "b2"]
    found, disjoint = find_split_speakers(folders, np.random.default_rng(0))
    assert disjoint
    for speakers in found.values():
        assert len([name for name in speakers if name.startswith("other")]) == 2
        assert len(speakers) == 4
    with pytest.raises(LatrefError, match="speaker0.*another folder|another folder"):
        find_split_speakers([folders[0], folders[0]], np.random.default_rng(0))
    make_noise(tmp_path / "n1")
    make_noise(tmp_path / "n2", n_files=1)
    recordings, disjoint = split_recordings(
        [tmp_path / "n1", tmp_path / "n2"], np.random.default_rng(0)
    )
    assert not disjoint and all(len(found) >= 2 for found in recordings.values())
