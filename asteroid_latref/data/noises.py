"""Noise for mixtures: stretches of recordings, babble of other voices, shaped noise."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import audio_info, list_audio
from ..errors import LatrefError
from .voices import Voice, random_walk, read_mono

#: What noise can be made of.
KINDS = ("recordings", "babble", "shaped")

_TRIES = 20  # stretches of a recording looked at before it is called silent
_AUDIBLE = 1e-4  # root mean square, -80 dB relative to full scale
_TALKERS = (5, 9)  # in a babble
_TALKER_SPREAD = 3.0  # dB, either way
_WALK_SPREAD = 4.0  # dB, standard deviation of the slow level changes
_WALK_STEP = 0.7  # seconds between the points the level moves through


@dataclass(frozen=True)
class Recording:
    """A noise file, or the part of it between two fractions of its length."""

    path: Path
    low: float = 0.0
    high: float = 1.0

    def stretch(self, length: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        """A random stretch, float32 ``(length,)``; a recording that is too short is repeated.

        Raises:
            LatrefError: the file cannot be read, or it is silent.
        """
        frames, rate = audio_info(self.path)
        first, last = round(self.low * frames), max(round(self.high * frames), 1)
        # A little more than is needed: resampling rounds lengths.
        needed = min(-(-length * rate // sample_rate) + 2, last - first)
        for _ in range(_TRIES):
            start = int(rng.integers(first, last - needed + 1))
            wav = read_mono(self.path, sample_rate, start, start + needed)
            wav = np.resize(wav, length)
            if is_audible(wav):
                return wav
        raise LatrefError(f"{self.path}: silent; remove it from the noise recordings")


def random_stretch(wav: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A random stretch of a recording that can be heard; too short, it is repeated.

    Args:
        wav: int16 ``(time,)``.
        length: in samples.
        rng: draws the place.

    Returns:
        float32 ``(length,)``, full scale at 1.

    Raises:
        LatrefError: nothing can be heard.
    """
    for _ in range(_TRIES):
        start = int(rng.integers(max(len(wav) - length, 0) + 1))
        part = np.resize(wav[start : start + length].astype(np.float32) / 32768, length)
        if is_audible(part):
            return part
    raise LatrefError("a noise recording is silent; remove it and mix the corpus anew")


def is_audible(wav: np.ndarray) -> bool:
    """Whether there is more than silence in ``wav``, full scale at 1."""
    return bool(np.sqrt(np.square(wav).mean()) > _AUDIBLE)


def find_recordings(folder: str | os.PathLike[str]) -> list[Recording]:
    """The noise recordings below a folder.

    Raises:
        LatrefError: the folder is missing or holds no sound file.
    """
    return [Recording(path) for path in list_audio(folder)]


def babble(voices: Sequence[Voice], length: int, rng: np.random.Generator) -> np.ndarray:
    """Several people talking at once, float32 ``(length,)``; one voice may speak repeatedly."""
    out = np.zeros(length, dtype=np.float32)
    for _ in range(int(rng.integers(*_TALKERS))):
        talker = np.empty(0, dtype=np.float32)
        phrases = random_walk(voices[int(rng.integers(len(voices)))], rng)
        while len(talker) < length:
            talker = np.concatenate([talker, next(phrases)])
        talker = talker[:length] / max(float(np.sqrt(np.square(talker[:length]).mean())), 1.0)
        out += talker * 10 ** (rng.uniform(-_TALKER_SPREAD, _TALKER_SPREAD) / 20)
    return out


def long_term_spectrum(voices: Sequence[Voice], size: int = 512, seconds: int = 20) -> np.ndarray:
    """Average magnitude spectrum of voices, ``(size / 2 + 1,)``, mean square 1.

    ``seconds`` of each voice are taken, counted at 8 kHz.
    """
    window = np.hanning(size)
    power = np.zeros(size // 2 + 1)
    for voice in voices:
        wav = np.concatenate(voice.phrases)[: seconds * 8000].astype(np.float64)
        wav = np.pad(wav, (0, max(size - len(wav), 0)))
        frames = wav[: len(wav) // size * size].reshape(-1, size) * window
        power += np.square(np.abs(np.fft.rfft(frames))).mean(axis=0)
    return np.sqrt(power / max(power.mean(), 1e-12))


def shaped_noise(
    speech_spectrum: np.ndarray, length: int, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Gaussian noise with the spectrum of speech, pink or brown, its level moving slowly.

    Args:
        speech_spectrum: from :func:`long_term_spectrum`.
        length: in samples.
        sample_rate: in Hz.
        rng: draws the kind, the noise and the level.

    Returns:
        float32 ``(length,)``.
    """
    size = 1 << (length - 1).bit_length()
    bins = np.arange(1, size // 2 + 2)
    grid = np.linspace(0, 1, len(bins))
    shapes = (
        np.interp(grid, np.linspace(0, 1, len(speech_spectrum)), speech_spectrum),
        bins**-0.5,  # pink: power falls with frequency
        # Brown: with its square, but flat below 20 Hz, where all of its power would lie.
        np.maximum(bins * sample_rate / size, 20.0) ** -1.0,
    )
    shape = shapes[int(rng.integers(len(shapes)))]
    wav = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * shape, size)[:length]
    points = rng.normal(0.0, _WALK_SPREAD, 2 + int(length / (_WALK_STEP * sample_rate)))
    level = np.interp(np.linspace(0, len(points) - 1, length), np.arange(len(points)), points)
    return (wav * 10 ** (level / 20)).astype(np.float32)
