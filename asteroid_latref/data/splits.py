"""Who and what goes into training, validation and test."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from ..errors import LatrefError
from .layout import SPLITS
from .noises import Recording, find_recordings
from .voices import Voice, find_speakers, load_voice

_SHARES = {"tr": (0.0, 0.7), "cv": (0.7, 0.8), "tt": (0.8, 1.0)}  # of what has to be shared
_HELD_OUT = {"tr": (0.0, 0.9), "cv": (0.9, 0.95), "tt": (0.95, 1.0)}  # of training voices
_SPARE = 1.2  # times the speech that is needed is read: gaps and cut phrases use some up
_OWN_BABBLE = 10  # speakers of a split that make its babble themselves

T = TypeVar("T")
Folder = str | os.PathLike[str]
#: One folder, or several that are each divided by themselves.
Folders = Folder | Sequence[Folder]


@dataclass(frozen=True)
class SpeechSplit:
    """The voices of a split.

    Attributes:
        voices: those that speak in the mixtures.
        babblers: those babble is made of; a mixture's own speakers are left out there.
    """

    voices: tuple[Voice, ...]
    babblers: tuple[Voice, ...]


def each(folders: Folders) -> list[Path]:
    """One folder or several, as a list."""
    alone = isinstance(folders, (str, os.PathLike))
    return [Path(folders)] if alone else [Path(folder) for folder in folders]  # type: ignore


def is_split(folder: Folder) -> bool:
    """True if the folder's only subfolders are ``tr``, ``cv`` and ``tt``: a split that is given."""
    root = Path(folder)
    return root.is_dir() and {p.name for p in root.iterdir() if p.is_dir()} == set(SPLITS)


def find_split_speakers(
    folders: Folders, rng: np.random.Generator
) -> tuple[dict[str, dict[str, list[Path]]], bool]:
    """Speakers and their files per split, and whether no speaker is in two splits.

    Six speakers or more are divided, two at least to each of validation and test; fewer are in all
    splits, with different speech in each. Of several folders each is divided by itself.

    Raises:
        LatrefError: missing or empty folder, fewer than two speakers (six where there are several
            folders), fewer than two in a split that is given, or one name in two folders.
    """
    parts = [_split_speakers(folder, rng) for folder in each(folders)]
    if len(parts) == 1:
        return parts[0]
    merged: dict[str, dict[str, list[Path]]] = {split: {} for split in SPLITS}
    for folder, (found, disjoint) in zip(each(folders), parts, strict=True):
        if not disjoint:
            raise LatrefError(f"{folder}: needs at least 6 speakers, to be one of several folders")
        for split in SPLITS:
            for name, files in found[split].items():
                if any(name in merged[s] for s in SPLITS):
                    raise LatrefError(f"{folder}: speaker '{name}' is in another folder too")
                merged[split][name] = files
    return merged, True


def _split_speakers(
    folder: Path, rng: np.random.Generator
) -> tuple[dict[str, dict[str, list[Path]]], bool]:
    if is_split(folder):
        found = {split: find_speakers(folder / split) for split in SPLITS}
        for split, speakers in found.items():
            if len(speakers) < 2:
                raise LatrefError(f"{folder / split}: needs at least 2 speakers")
        names = [name for speakers in found.values() for name in speakers]
        return found, len(names) == len(set(names))
    speakers = find_speakers(folder)
    if len(speakers) < 2:
        raise LatrefError(f"{folder}: needs at least 2 speakers, one subfolder each")
    if len(speakers) < 6:
        return dict.fromkeys(SPLITS, speakers), False
    divided = divide(sorted(speakers), rng, at_least=2)
    return {s: {name: speakers[name] for name in divided[s]} for s in SPLITS}, True


def load_speech(
    found: dict[str, dict[str, list[Path]]],
    disjoint: bool,
    sample_rate: int,
    seconds: dict[str, float],
    seed: int,
    progress: bool,
) -> dict[str, SpeechSplit]:
    """Reads as much of every speaker as the mixtures need.

    Args:
        found: from :func:`find_split_speakers`.
        disjoint: likewise.
        sample_rate: in Hz.
        seconds: per split, of speech over all its speakers.
        seed: of the order in which files are read.
        progress: whether to show a bar.
    """
    jobs = [(split, name) for split in SPLITS for name in found[split]]
    loaded: dict[tuple[str, str], Voice] = {}
    for split, name in tqdm(jobs, "speakers", disable=not progress, unit="voice"):
        share = 1.0 if disjoint else _SHARES[split][1] - _SHARES[split][0]
        wanted = _SPARE * seconds[split] / len(found[split]) / share + 10.0
        if not disjoint:
            # One reading for all splits, long enough for the one that needs most.
            wanted = max(
                _SPARE * seconds[s] / len(found[s]) / (_SHARES[s][1] - _SHARES[s][0]) + 10.0
                for s in SPLITS
            )
        # The generator depends on the speaker alone: a file goes to the same split in every call.
        rng = np.random.default_rng([seed, *name.encode()])
        voice = load_voice(name, found[split][name], sample_rate, wanted, rng)
        loaded[split, name] = voice if disjoint else voice.part(*_SHARES[split])
    voices = {s: tuple(loaded[s, name] for name in found[s]) for s in SPLITS}
    train = voices["tr"]
    if min(len(voices[s]) for s in SPLITS) >= _OWN_BABBLE:
        return {s: SpeechSplit(voices[s], voices[s]) for s in SPLITS}
    # The few voices of validation and test all speak in the mixtures: their babble is made of
    # speech held out of training.
    held = {s: tuple(voice.part(*_HELD_OUT[s]) for voice in train) for s in SPLITS}
    return {s: SpeechSplit(held["tr"] if s == "tr" else voices[s], held[s]) for s in SPLITS}


def split_recordings(
    folders: Folders, rng: np.random.Generator
) -> tuple[dict[str, list[Recording]], bool]:
    """Noise recordings per split, and whether no recording is in two splits.

    Fewer than three recordings are cut in time, so that each split has a part of them. Of several
    folders each is divided by itself.

    Raises:
        LatrefError: missing or empty folder.
    """
    parts = [_split_recordings(folder, rng) for folder in each(folders)]
    merged = {s: [recording for found, _ in parts for recording in found[s]] for s in SPLITS}
    return merged, all(disjoint for _, disjoint in parts)


def _split_recordings(
    folder: Path, rng: np.random.Generator
) -> tuple[dict[str, list[Recording]], bool]:
    if is_split(folder):
        return {split: find_recordings(folder / split) for split in SPLITS}, True
    recordings = find_recordings(folder)
    if len(recordings) >= 3:
        return divide(recordings, rng, at_least=1), True
    return {s: [Recording(r.path, *_SHARES[s]) for r in recordings] for s in SPLITS}, False


def divide(things: Sequence[T], rng: np.random.Generator, at_least: int) -> dict[str, list[T]]:
    """A random tenth for validation, a fifth for test, ``at_least`` so many; the rest to train on.

    Examples:
        >>> divided = divide("abcdefg", np.random.default_rng(0), at_least=2)
        >>> [len(divided[split]) for split in ("tr", "cv", "tt")]
        [3, 2, 2]
    """
    order = [things[i] for i in rng.permutation(len(things))]
    n_cv = max(at_least, round(0.1 * len(order)))
    n_tt = max(at_least, round(0.2 * len(order)))
    return {"cv": order[:n_cv], "tt": order[n_cv : n_cv + n_tt], "tr": order[n_cv + n_tt :]}
