"""Builds a corpus in WHAM!'s layout from any folder of speakers and any folder of noise."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..audio import write_audio
from ..errors import LatrefError
from ..files import write_json
from .identity import identity, is_finished
from .layout import FOLDERS, SPLITS, wav_folder
from .licenses import CORPUS_FILE, POOL, read_licenses
from .mixing import LEVEL_DB, mix
from .noises import KINDS, Recording, babble, long_term_spectrum, shaped_noise
from .pool import write_pool
from .splits import (
    Folders,
    SpeechSplit,
    each,
    find_split_speakers,
    load_speech,
    split_recordings,
)
from .voices import Piece, Stream, Voice

_FORMAT = 1  # raised when the same options would give other mixtures


@dataclass(frozen=True)
class CorpusOptions:
    """What decides the content of a corpus, besides the recordings.

    Attributes:
        sample_rate: in Hz; recordings of other rates are resampled.
        n_tr: mixtures to train on.
        n_cv: mixtures to validate on.
        n_tt: mixtures to test on.
        seed: of everything random.
        noise_kinds: what noise is made of, see :data:`asteroid_latref.data.noises.KINDS`.
        seconds: shortest and longest mixture.
        second_db: how far the second speaker lies below the first, from and to.
        snr_db: first speaker over noise, from and to. WHAM!'s own range is the default.
        pool_hours: of training speech to keep beside the mixtures, with all training noise, for
            mixing anew in every epoch (:class:`~asteroid_latref.data.dynamic.DynamicMixtures`).
    """

    sample_rate: int = 8000
    n_tr: int = 1200
    n_cv: int = 100
    n_tt: int = 150
    seed: int = 0
    noise_kinds: tuple[str, ...] = ("recordings",)
    seconds: tuple[float, float] = (4.0, 8.0)
    second_db: tuple[float, float] = (0.0, 5.0)
    snr_db: tuple[float, float] = (-6.0, 3.0)
    pool_hours: float = 0.0

    def check(self) -> None:
        """Raises LatrefError for values that make no corpus."""
        for name in ("n_tr", "n_cv", "n_tt"):
            if getattr(self, name) < 1:
                raise LatrefError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.sample_rate < 1000 or self.sample_rate % 1000:
            raise LatrefError(f"sample_rate must be whole kHz, e.g. 8000, not {self.sample_rate}")
        if not 0 < self.seconds[0] <= self.seconds[1]:
            raise LatrefError(f"seconds must be two rising lengths above 0, not {self.seconds}")
        if not self.pool_hours >= 0:
            raise LatrefError(f"pool_hours must be 0 or more, not {self.pool_hours}")
        unknown = set(self.noise_kinds) - set(KINDS)
        if unknown or not self.noise_kinds:
            raise LatrefError(
                f"noise_kinds must be some of {', '.join(KINDS)}, not '{', '.join(unknown)}'"
            )

    def sizes(self) -> dict[str, int]:
        """Mixtures per split."""
        return {"tr": self.n_tr, "cv": self.n_cv, "tt": self.n_tt}


@dataclass(frozen=True)
class Item:
    """One mixture, planned."""

    name: str
    speakers: tuple[Voice, Voice]
    pieces: tuple[list[Piece], list[Piece]]
    length: int
    kind: str
    second_db: float
    snr_db: float
    level_db: float
    seed: tuple[int, ...]


def build_corpus(
    out_dir: str | os.PathLike[str],
    speech_dir: Folders,
    noise_dir: Folders,
    options: CorpusOptions | None = None,
    name: str = "OpenCorpus",
    progress: bool = True,
) -> Path:
    """Mixes a corpus, continues one that was interrupted, or recognises a finished one.

    Speakers (and noise recordings) are divided between training, validation and test; a folder
    whose subfolders are ``tr``, ``cv`` and ``tt`` is taken as divided already. Mixture ``i`` of a
    split depends on the recordings, the options and ``i`` only, so that the same call gives the
    same bytes, in one go or in several. ``corpus.json`` tells options, splits and credits (from a
    ``licenses.json`` in either folder), ``items_{split}.json`` what is in each mixture.

    Args:
        out_dir: where the corpus goes.
        speech_dir: one subfolder per speaker, sound files anywhere below; or several such folders.
        noise_dir: sound files anywhere below; or several such folders.
        options: see :class:`CorpusOptions`.
        name: what the corpus is called in a model's card.
        progress: whether to show bars.

    Returns:
        The folder that holds ``tr``, ``cv`` and ``tt``, e.g. ``out_dir/wav8k/min``.

    Raises:
        LatrefError: unusable folders, files or options; ``out_dir`` holds a corpus of other
            options; no space left.
    """
    (options := options or CorpusOptions()).check()
    out, wav_dir = Path(out_dir), Path(out_dir) / wav_folder(options.sample_rate, "min")
    wanted = identity(_FORMAT, name, options, speech_dir, noise_dir)
    if is_finished(out, wanted):
        return wav_dir
    rng = np.random.default_rng(options.seed)
    speakers, disjoint = find_split_speakers(speech_dir, rng)
    recordings, noise_disjoint = split_recordings(noise_dir, rng)
    corpus: dict[str, Any] = {
        "name": name,
        "complete": False,
        "options": wanted,
        "speakers": {s: sorted(speakers[s]) for s in SPLITS},
        "speakers_disjoint": disjoint,
        "noise": {s: sorted({r.path.name for r in recordings[s]}) for s in SPLITS},
        "noise_disjoint": noise_disjoint,
        "licenses": {
            "speech": [credit for folder in each(speech_dir) for credit in read_licenses(folder)],
            "noise": [credit for folder in each(noise_dir) for credit in read_licenses(folder)],
        },
    }
    write_json(out / CORPUS_FILE, corpus)
    sizes = options.sizes()
    seconds = {s: n_items * sum(options.seconds) for s, n_items in sizes.items()}
    seconds["tr"] = max(seconds["tr"], 3600 * options.pool_hours)
    speech = load_speech(speakers, disjoint, options.sample_rate, seconds, options.seed, progress)
    items = {s: plan(s, sizes[s], speech[s], options) for s in SPLITS}
    with tqdm(total=sum(sizes.values()), desc="mixtures", disable=not progress) as bar:
        for s in SPLITS:
            write_json(out / f"items_{s}.json", [_describe(item) for item in items[s]])
            _write_split(wav_dir / s, items[s], speech[s], recordings[s], options, bar)
    if options.pool_hours:
        mixing = {key: wanted[key] for key in ("noise_kinds", "second_db", "snr_db")}
        voices = speech["tr"].voices
        write_pool(out / POOL, voices, recordings["tr"], options.sample_rate, mixing)
    write_json(out / CORPUS_FILE, {**corpus, "complete": True})
    return wav_dir


def plan(split: str, n_items: int, speech: SpeechSplit, options: CorpusOptions) -> list[Item]:
    """Draws everything about a split's mixtures but their noise."""
    number = SPLITS.index(split)
    rng = np.random.default_rng((options.seed, number))
    streams = [Stream(voice, options.sample_rate) for voice in speech.voices]
    kinds = options.noise_kinds
    if "babble" in kinds and len(speech.babblers) < 3:
        raise LatrefError("noise_kinds: babble needs at least 3 speakers to train on")
    pairs = _pairs(len(streams), n_items, rng)
    drawn_kinds = rng.permutation([kinds[i % len(kinds)] for i in range(n_items)])
    items = []
    for i, pair in enumerate(pairs):
        length = round(rng.uniform(*options.seconds) * options.sample_rate)
        voices = tuple(streams[j].voice for j in pair)
        names = "_".join(_plain(voice.name) for voice in voices)
        items.append(
            Item(
                name=f"{i:05d}_{names}_{drawn_kinds[i]}.wav",
                speakers=(voices[0], voices[1]),
                pieces=(streams[pair[0]].take(length, rng), streams[pair[1]].take(length, rng)),
                length=length,
                kind=str(drawn_kinds[i]),
                second_db=float(rng.uniform(*options.second_db)),
                snr_db=float(rng.uniform(*options.snr_db)),
                level_db=float(rng.uniform(*LEVEL_DB)),
                seed=(options.seed, number, i),
            )
        )
    return items


def _pairs(n_voices: int, n_items: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Ordered pairs of different voices, every voice equally often first, and nearly so second."""
    firsts: list[int] = []
    while len(firsts) < n_items:
        firsts.extend(int(v) for v in rng.permutation(n_voices))
    return [
        (first, (first + int(rng.integers(1, n_voices))) % n_voices) for first in firsts[:n_items]
    ]


def _write_split(
    folder: Path,
    items: Sequence[Item],
    speech: SpeechSplit,
    recordings: Sequence[Recording],
    options: CorpusOptions,
    bar: tqdm,
) -> None:
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        # A process that was killed could not remove its temporary files.
        for left_over in (folder / name).glob(".part-*"):
            left_over.unlink(missing_ok=True)
    spectrum = long_term_spectrum(speech.babblers)
    for item in items:
        bar.update()
        paths = {name: folder / name / item.name for name in FOLDERS}
        if all(path.is_file() for path in paths.values()):
            continue
        rng = np.random.default_rng(item.seed)
        if item.kind == "recordings":
            recording = recordings[int(rng.integers(len(recordings)))]
            noise = recording.stretch(item.length, options.sample_rate, rng)
        elif item.kind == "babble":
            spoken = {voice.name for voice in item.speakers}
            others = [voice for voice in speech.babblers if voice.name not in spoken]
            noise = babble(others, item.length, rng)
        else:
            noise = shaped_noise(spectrum, item.length, options.sample_rate, rng)
        s1, s2 = (
            voice.render(pieces, item.length)
            for voice, pieces in zip(item.speakers, item.pieces, strict=True)
        )
        signals = mix(s1, s2, noise, item.level_db, item.second_db, item.snr_db)
        for name, path in paths.items():
            write_audio(path, signals[name], options.sample_rate)


def _describe(item: Item) -> dict[str, Any]:
    return {
        "file": item.name,
        "speakers": [voice.name for voice in item.speakers],
        "n_samples": item.length,
        "noise": item.kind,
        "second_db": round(item.second_db, 3),
        "snr_db": round(item.snr_db, 3),
    }


def _plain(name: str) -> str:
    """A speaker's name as part of a file name."""
    return "".join(c if c.isalnum() else "-" for c in name)
