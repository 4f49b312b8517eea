"""The recordings a corpus trains on, ready to be mixed anew in every epoch: two flat arrays."""

import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import audio_info
from ..errors import LatrefError
from ..files import atomic_path, write_json
from .noises import Recording
from .voices import Voice, read_mono

_INDEX, _SPEECH, _NOISE = "pool.json", "speech.npy", "noise.npy"


@dataclass(frozen=True)
class Pool:
    """Training recordings in memory-mapped 16-bit samples: any number of processes share them.

    Attributes:
        sample_rate: in Hz.
        voices: the speakers.
        noises: recordings of noise, int16 ``(time,)`` each.
        options: ``noise_kinds``, ``second_db`` and ``snr_db`` of
            :class:`~asteroid_latref.data.open_corpus.CorpusOptions`.
    """

    sample_rate: int
    voices: tuple[Voice, ...]
    noises: tuple[np.ndarray, ...]
    options: dict[str, Any]


def write_pool(
    folder: str | os.PathLike[str],
    voices: Sequence[Voice],
    recordings: Sequence[Recording],
    sample_rate: int,
    options: dict[str, Any],
) -> None:
    """Writes what :func:`read_pool` reads; the index comes last and makes it complete."""
    out = Path(folder)
    noises = [_whole(recording, sample_rate) for recording in recordings]
    _save(out / _SPEECH, (phrase for voice in voices for phrase in voice.phrases))
    _save(out / _NOISE, noises)
    index = {
        "sample_rate": sample_rate,
        "voices": {voice.name: [len(phrase) for phrase in voice.phrases] for voice in voices},
        "noises": [[r.path.name, len(wav)] for r, wav in zip(recordings, noises, strict=True)],
        "options": options,
    }
    write_json(out / _INDEX, index)


def read_pool(folder: str | os.PathLike[str]) -> Pool:
    """Opens the recordings of a corpus.

    Raises:
        LatrefError: missing, incomplete or damaged.
    """
    root = Path(folder)
    try:
        index = json.loads((root / _INDEX).read_text())
        speech = np.load(root / _SPEECH, mmap_mode="r")
        noise = np.load(root / _NOISE, mmap_mode="r")
        phrases = iter(_cut(speech, [n for lengths in index["voices"].values() for n in lengths]))
        voices = tuple(
            Voice(name, tuple(next(phrases) for _ in lengths))
            for name, lengths in index["voices"].items()
        )
        noises = tuple(_cut(noise, [length for _, length in index["noises"]]))
        return Pool(int(index["sample_rate"]), voices, noises, dict(index["options"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        raise LatrefError(
            f"{root}: no training recordings to mix ({' '.join(str(err).split())}); "
            "make the corpus anew with --pool_hours (stage 1)"
        ) from None


def _whole(recording: Recording, sample_rate: int) -> np.ndarray:
    """All of a recording, int16 ``(time,)``."""
    frames, _ = audio_info(recording.path)
    start, stop = round(recording.low * frames), max(round(recording.high * frames), 1)
    wav = read_mono(recording.path, sample_rate, start, stop)
    return np.round(wav.clip(-1, 32767 / 32768) * 32768).astype(np.int16)


def _save(path: Path, parts: Iterable[np.ndarray]) -> None:
    with atomic_path(path) as tmp, open(tmp, "wb") as file:  # numpy would append .npy to the name
        np.save(file, np.concatenate(list(parts)))


def _cut(wav: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    if sum(lengths) != len(wav):
        raise ValueError(f"{len(wav)} samples where {sum(lengths)} should be")
    ends = np.cumsum([0, *lengths])
    return [wav[a:b] for a, b in itertools.pairwise(ends)]
