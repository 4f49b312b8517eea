"""Speakers as streams of phrases: reading, trimming silence, joining short prompts."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from ..audio import list_audio, read_audio
from ..errors import LatrefError

_FRAME = 0.02  # seconds over which the level is measured
_MARGIN = 5  # frames kept on either side of what is heard
_BELOW_PEAK = 1e-4  # -40 dB relative to the loud frames counts as silence
_FLOOR = 1e-6  # -60 dB relative to full scale counts as silence in any case
_GAP = (0.1, 0.35)  # seconds between joined phrases
_SHORTEST = 0.5  # seconds; what is left of a phrase after a cut is used if it is longer

#: A stretch of a phrase and the silence after it: phrase number, first sample, end, gap in samples.
Piece = tuple[int, int, int, int]


@dataclass(frozen=True)
class Voice:
    """A speaker's phrases, without their silences.

    Attributes:
        name: the speaker.
        phrases: int16 arrays ``(time,)``.
    """

    name: str
    phrases: tuple[np.ndarray, ...]

    @property
    def n_samples(self) -> int:
        """Length of all phrases together."""
        return sum(map(len, self.phrases))

    def part(self, low: float, high: float) -> "Voice":
        """What lies between two fractions of the voice's length, cut through phrases if need be."""
        first, last = round(low * self.n_samples), round(high * self.n_samples)
        kept, position = [], 0
        for phrase in self.phrases:
            start, stop = max(first - position, 0), min(last - position, len(phrase))
            if start < stop:
                kept.append(phrase[start:stop])
            position += len(phrase)
        return Voice(self.name, tuple(kept))

    def render(self, pieces: list[Piece], length: int) -> np.ndarray:
        """The utterance that :class:`Stream` planned: float32 ``(length,)``, full scale at 1."""
        out = np.zeros(length, dtype=np.float32)
        position = 0
        for number, start, stop, gap in pieces:
            out[position : position + stop - start] = self.phrases[number][start:stop]
            position += stop - start + gap
        return out / 32768.0


class Stream:
    """Walks through a voice, handing out utterances of the lengths asked for.

    Prompts are joined with short gaps until the length is reached; the last one is cut, and its
    rest opens the next utterance unless it is too short. At the end of the voice it starts over.
    """

    def __init__(self, voice: Voice, sample_rate: int) -> None:
        self.voice = voice
        self.rounds = 0
        self._rate = sample_rate
        self._number = 0
        self._start = 0

    def seek(self, rng: np.random.Generator) -> "Stream":
        """Goes to a random place, at least the shortest piece before a phrase's end."""
        self._number = int(rng.integers(len(self.voice.phrases)))
        latest = len(self.voice.phrases[self._number]) - round(_SHORTEST * self._rate)
        self._start = int(rng.integers(max(latest, 0) + 1))
        return self

    def take(self, length: int, rng: np.random.Generator) -> list[Piece]:
        """The next ``length`` samples, as pieces for :meth:`Voice.render`."""
        shortest = round(_SHORTEST * self._rate)
        low, high = (round(gap * self._rate) for gap in _GAP)
        pieces: list[Piece] = []
        left = length
        while left > 0 and (not pieces or left >= shortest):
            phrase = self.voice.phrases[self._number]
            stop = min(len(phrase), self._start + left)
            left -= stop - self._start
            gap = min(int(rng.integers(low, high)), left)
            left -= gap
            pieces.append((self._number, self._start, stop, gap))
            self._advance(stop, len(phrase) - stop < shortest)
        return pieces

    def _advance(self, stop: int, used_up: bool) -> None:
        self._start = 0 if used_up else stop
        if used_up:
            self._number += 1
            if self._number == len(self.voice.phrases):
                self._number = 0
                self.rounds += 1


def trim(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Removes silence: at both ends, and what exceeds 0.2 s of a pause.

    Args:
        wav: ``(time,)``, full scale at 1.
        sample_rate: in Hz.

    Returns:
        What remains, ``(shorter,)``; empty where nothing is heard for at least 0.1 s.

    Examples:
        >>> noise = np.random.default_rng(0).normal(size=8000) * 0.1
        >>> wav = np.concatenate([np.zeros(8000), noise, np.zeros(8000)])
        >>> len(trim(wav, 8000)) / 8000
        1.2
    """
    hop = round(_FRAME * sample_rate)
    frames = wav[: len(wav) // hop * hop].reshape(-1, hop)  # (frames, hop)
    if len(frames) < _MARGIN:
        return wav[:0]
    power = np.square(frames, dtype=np.float32).mean(axis=1)
    heard = power > max(float(np.percentile(power, 95)) * _BELOW_PEAK, _FLOOR)
    if heard.sum() < _MARGIN:
        return wav[:0]
    near = np.convolve(heard, np.ones(2 * _MARGIN + 1), mode="full")[_MARGIN:-_MARGIN] > 0
    return frames[near].reshape(-1)


def read_mono(
    path: str | os.PathLike[str], sample_rate: int, start: int = 0, stop: int | None = None
) -> np.ndarray:
    """A file's channels averaged and resampled: float32 ``(time,)`` at ``sample_rate``."""
    wav, rate = read_audio(path, start=start, stop=stop)
    mono = wav.mean(axis=1)
    return mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate)


def load_voice(
    name: str, files: list[Path], sample_rate: int, seconds: float, rng: np.random.Generator
) -> Voice:
    """Reads files of a speaker in random order until ``seconds`` of speech are together.

    Raises:
        LatrefError: a file cannot be read, or all of them are silent.
    """
    phrases: list[np.ndarray] = []
    wanted = seconds * sample_rate
    for i in rng.permutation(len(files)):
        phrase = trim(read_mono(files[i], sample_rate), sample_rate)
        if len(phrase):
            phrases.append(np.round(phrase.clip(-1, 32767 / 32768) * 32768).astype(np.int16))
            wanted -= len(phrase)
        if wanted <= 0:
            break
    if not phrases:
        raise LatrefError(f"{files[0].parent}: the recordings of speaker '{name}' are silent")
    return Voice(name, tuple(phrases))


def find_speakers(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """The speakers of a folder, one subfolder each, and their files.

    Raises:
        LatrefError: the folder is missing or has no subfolders with sound files.
    """
    root = Path(folder)
    files = list_audio(root)
    loose = [file for file in files if file.parent == root]
    if loose:
        raise LatrefError(
            f"{loose[0]}: lies directly in {root}; put each speaker's files in a subfolder"
        )
    speakers: dict[str, list[Path]] = {}
    for file in files:
        speakers.setdefault(file.relative_to(root).parts[0], []).append(file)
    return speakers


def random_walk(voice: Voice, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless phrases of a voice, in order, from a random one on."""
    number = int(rng.integers(len(voice.phrases)))
    while True:
        yield voice.phrases[number]
        number = (number + 1) % len(voice.phrases)
