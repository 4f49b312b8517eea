"""Sound files: what is written is read, and what is wrong with a file is said in one line."""

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from asteroid_latref.audio import audio_info, list_audio, read_audio, write_audio
from asteroid_latref.errors import LatrefError


@pytest.fixture
def ints():
    return np.random.default_rng(0).integers(-32768, 32768, 4000).astype(np.int16)


def fails(path, match, **options):
    with pytest.raises(LatrefError, match=match) as caught:
        read_audio(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_16_bit_samples_survive_exactly(tmp_path, ints, suffix):
    path = tmp_path / f"a.{suffix}"
    write_audio(path, ints, 8000)
    wav, rate = read_audio(path, sample_rate=8000)
    assert rate == 8000 and wav.dtype == np.float32 and wav.shape == (4000, 1)
    assert np.array_equal(wav[:, 0] * 32768, ints)
    assert audio_info(path) == (4000, 8000)


def test_part_is_the_part_of_the_whole(tmp_path, ints):
    write_audio(tmp_path / "a.wav", np.stack([ints, ints[::-1]], 1), 16000)
    whole, _ = read_audio(tmp_path / "a.wav")
    part, _ = read_audio(tmp_path / "a.wav", start=123, stop=456)
    assert np.array_equal(part, whole[123:456])


def test_raw_gsm_is_8_khz_mono(tmp_path):
    wav = 0.3 * np.sin(np.arange(3200) * 0.2)
    sf.write(tmp_path / "a.gsm", wav, 8000, format="RAW", subtype="GSM610")
    back, rate = read_audio(tmp_path / "a.gsm")
    assert rate == 8000 and back.shape == (3200, 1)
    error = back[160:, 0] - wav[160:]
    assert np.square(error).mean() < 0.05 * np.square(wav).mean()


def test_beyond_full_scale_clips_instead_of_wrapping(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([1.5, -1.5]), 8000)
    assert np.sign(read_audio(tmp_path / "a.wav")[0][:, 0]).tolist() == [1, -1]


def test_missing_and_empty(tmp_path):
    fails(tmp_path / "none.wav", "no such file")
    (tmp_path / "empty.wav").touch()
    fails(tmp_path / "empty.wav", "empty file")


def test_corrupt(tmp_path, ints):
    (tmp_path / "a.wav").write_bytes(b"this is no sound file at all" * 10)
    fails(tmp_path / "a.wav", "not a readable sound file")
    write_audio(tmp_path / "b.flac", ints, 8000)
    data = (tmp_path / "b.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(data[: len(data) // 2])
    fails(tmp_path / "b.flac", "cannot be read|cut short|ends early")


def test_header_without_samples(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(0), 8000)
    fails(tmp_path / "a.wav", "no samples")
    with pytest.raises(LatrefError, match="no samples"):
        audio_info(tmp_path / "a.wav")


def test_wrong_rate_and_wrong_length(tmp_path, ints):
    path = tmp_path / "a.wav"
    write_audio(path, ints, 16000)
    fails(path, "sampled at 16000 Hz, 8000 Hz is needed", sample_rate=8000)
    fails(path, "4000 samples, 5000 were expected", n_samples=5000)
    fails(path, "not samples 3000 to 5000", start=3000, stop=5000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    wav = np.zeros(100)
    wav[50] = value
    write_audio(tmp_path / "a.wav", wav, 8000, subtype="FLOAT")
    fails(tmp_path / "a.wav", "NaN or infinite")
    read_audio(tmp_path / "a.wav", stop=50)


def test_wav_whose_header_promises_more_than_there_is(tmp_path, ints):
    path = tmp_path / "a.wav"
    write_audio(path, ints, 8000)
    path.write_bytes(path.read_bytes()[: 44 + 2000])
    fails(path, "1000 samples, 4000 were expected", n_samples=4000)


def test_unknown_format(tmp_path):
    with pytest.raises(LatrefError, match="no sound format"):
        write_audio(tmp_path / "a.txt", np.zeros(10), 8000)


def test_full_disk_leaves_nothing(tmp_path, monkeypatch, ints):
    def full(self, data):
        with open(self, "wb") as file:
            file.write(bytes(data)[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LatrefError, match=r"a\.wav: no space left"):
        write_audio(tmp_path / "a.wav", ints, 8000)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_really_full_device_is_one_line(tmp_path, monkeypatch, ints):
    # What the kernel says when a write does not fit, instead of what we believe it says.
    def to_full(self, data):
        with open("/dev/full", "wb") as file:
            file.write(data)

    monkeypatch.setattr(Path, "write_bytes", to_full)
    with pytest.raises(LatrefError, match="no space left"):
        write_audio(tmp_path / "a.wav", ints, 8000)
    assert os.listdir(tmp_path) == []


def test_folder_listing(tmp_path, ints):
    for name in ("b/x.wav", "a.flac", "b/.part-1.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(struct.pack("<i", 1))
    assert list_audio(tmp_path) == [tmp_path / "a.flac", tmp_path / "b" / "x.wav"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(LatrefError, match="holds no sound files"):
        list_audio(tmp_path / "empty")
    with pytest.raises(LatrefError, match="no such folder"):
        list_audio(tmp_path / "none")
