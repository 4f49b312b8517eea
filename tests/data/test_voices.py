"""Voices, noises and how they are divided: what the corpus builder is made of."""

import itertools

import numpy as np
import pytest

from asteroid_latref.audio import write_audio
from asteroid_latref.data.layout import SPLITS
from asteroid_latref.data.noises import Recording, babble, shaped_noise
from asteroid_latref.data.splits import find_split_speakers, load_speech, split_recordings
from asteroid_latref.data.voices import Stream, Voice, load_voice, trim
from asteroid_latref.errors import LatrefError

from .sounds import RATE, make_noise, make_speech, voice


def level(wav):
    return 10 * np.log10(np.square(wav.astype(float)).mean())


def test_few_speakers_share_splits_but_not_speech(tmp_path):
    make_speech(tmp_path / "speech", n_speakers=2, n_files=4)
    make_noise(tmp_path / "noise", n_files=1)
    rng = np.random.default_rng(0)
    found, disjoint = find_split_speakers(tmp_path / "speech", rng)
    assert not disjoint
    speech = load_speech(found, disjoint, RATE, dict.fromkeys(SPLITS, 10.0), 0, False)
    for i in range(2):
        parts = [np.concatenate(speech[split].voices[i].phrases).tobytes() for split in SPLITS]
        # Each part occurs in the whole once, in this order, without overlap.
        rng = np.random.default_rng([0, *f"speaker{i}".encode()])
        whole = load_voice(f"speaker{i}", found["tr"][f"speaker{i}"], RATE, 1e9, rng)
        joined = np.concatenate(whole.phrases).tobytes()
        starts = [joined.index(part[:2000]) for part in parts]
        assert starts == sorted(starts)
        assert sum(map(len, parts)) <= len(joined)
        assert starts[0] + len(parts[0]) <= starts[1] and starts[1] + len(parts[1]) <= starts[2]
    shared, noise_disjoint = split_recordings(tmp_path / "noise", rng)
    assert not noise_disjoint and [shared[s][0].low for s in SPLITS] == [0.0, 0.7, 0.8]


def test_babble_of_the_test_split_is_training_voices_held_out(tmp_path):
    make_speech(tmp_path)
    found, disjoint = find_split_speakers(tmp_path, np.random.default_rng(1))
    speech = load_speech(found, disjoint, RATE, dict.fromkeys(SPLITS, 30.0), 1, False)
    spoken = {s: {v.name for v in speech[s].voices} for s in SPLITS}
    assert {v.name for v in speech["tt"].babblers} == spoken["tr"]
    train, test = (
        {v.name: np.concatenate(v.phrases).tobytes() for v in speech[s].babblers}
        for s in ("tr", "tt")
    )
    for name in spoken["tr"]:
        assert test[name][:1000] not in train[name]


def test_trim_keeps_speech_and_drops_silence():
    wav = voice(120, 1.5, 0)
    kept = trim(wav, RATE)
    assert 1.5 * RATE <= len(kept) <= 1.75 * RATE
    assert level(kept * 1e4) > level(wav * 1e4)
    assert len(trim(np.zeros(RATE), RATE)) == 0
    assert len(trim(np.full(100, 0.1), RATE)) == 0


def test_stream_uses_every_phrase_before_it_starts_over():
    rng = np.random.default_rng(0)
    phrases = tuple(rng.integers(-99, 99, n).astype(np.int16) for n in (9000, 3000, 30000, 5000))
    stream = Stream(Voice("a", phrases), RATE)
    used = []
    while stream.rounds == 0:
        pieces = stream.take(12000, rng)
        wav = stream.voice.render(pieces, 12000)
        assert wav.shape == (12000,)
        heard = sum(stop - start for _, start, stop, _ in pieces)
        assert heard + sum(gap for *_, gap in pieces) <= 12000
        used += pieces
    assert {number for number, *_ in used} == {0, 1, 2, 3}
    long = [(start, stop) for number, start, stop, _ in used if number == 2]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(long))


def test_noise_makers():
    rng = np.random.default_rng(0)
    voices = [Voice("a", (rng.integers(-9999, 9999, 4000).astype(np.int16),))]
    assert babble(voices, 9000, rng).shape == (9000,)
    for _ in range(9):
        wav = shaped_noise(np.ones(257), 30000, RATE, rng)
        assert wav.shape == (30000,) and np.isfinite(wav).all() and wav.std() > 0


def test_recording_shorter_than_the_mixture_and_silent_one(tmp_path):
    rng = np.random.default_rng(0)
    write_audio(tmp_path / "short.wav", rng.uniform(-0.5, 0.5, 100), RATE)
    wav = Recording(tmp_path / "short.wav").stretch(1000, RATE, rng)
    assert np.array_equal(wav[:100], wav[100:200])
    write_audio(tmp_path / "silent.wav", np.zeros(1000), RATE)
    with pytest.raises(LatrefError, match=r"silent\.wav: silent"):
        Recording(tmp_path / "silent.wav").stretch(100, RATE, rng)
