"""Dynamic mixing: every training item is a new mixture of a corpus's recordings."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import LatrefError
from .epochs import EpochDataset
from .licenses import CORPUS_FILE
from .mixing import LEVEL_DB, at_level
from .noises import babble, long_term_spectrum, random_stretch, shaped_noise
from .pool import read_pool
from .voices import Stream, Voice
from .wham import corpus_infos, get_task


class DynamicMixtures(EpochDataset):
    """New pairs of speakers, noise, levels and crops in every epoch, with the corpus's own ranges.

    Items are those of :class:`~asteroid_latref.data.wham.WhamDataset`. Each is a function of
    ``(seed, epoch, index)`` and nothing else.

    Args:
        json_dir: training manifests of a corpus that was built with ``pool_hours``.
        task: a key of :data:`~asteroid_latref.data.wham.TASKS`.
        n_mixtures: items of an epoch.
        sample_rate: in Hz, that of the corpus.
        segment: length of the items in seconds.
        seed: of everything random.

    Raises:
        LatrefError: unknown task, no mixtures asked for, no recordings kept, wrong sample rate, or
            fewer than two voices.
    """

    def __init__(
        self,
        json_dir: str | os.PathLike[str],
        task: str,
        n_mixtures: int,
        sample_rate: int = 8000,
        segment: float = 4.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if n_mixtures < 1:
            raise LatrefError(f"n_mixtures must be at least 1, not {n_mixtures}")
        self.json_dir = Path(json_dir)
        self.task, self.slots = task, get_task(task).slots
        self.n_src, self.n_speech = len(self.slots), get_task(task).n_speech
        self.n_mixtures, self.seed = n_mixtures, seed
        self.sample_rate, self.seg_len = sample_rate, round(segment * sample_rate)
        self.pool = read_pool(_pool_folder(self.json_dir))
        if self.pool.sample_rate != sample_rate:
            raise LatrefError(
                f"{self.json_dir}: the corpus has {self.pool.sample_rate} Hz, not {sample_rate}"
            )
        if len(self.pool.voices) < 2:
            raise LatrefError(f"{self.json_dir}: mixing needs at least 2 voices to train on")
        self._spectrum = long_term_spectrum(self.pool.voices)

    def __len__(self) -> int:
        return self.n_mixtures

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, self.epoch, index))
        options, voices = self.pool.options, self.pool.voices
        speakers = [voices[i] for i in rng.choice(len(voices), size=2, replace=False)]
        first, second = (self._utterance(voice, rng) for voice in speakers)
        noise = self._noise(speakers, rng)
        level = rng.uniform(*LEVEL_DB)
        s1 = at_level(first, level)
        s2 = at_level(second, level - rng.uniform(*options["second_db"]))
        signals = {
            "s1": s1,
            "s2": s2,
            "mix_clean": s1 + s2,
            "noise": at_level(noise, level - rng.uniform(*options["snr_db"])),
        }
        targets = np.stack([signals[name] for name in self.slots])
        both = torch.from_numpy(targets.astype(np.float32))  # (slots, time)
        return both.sum(0), both

    def get_infos(self) -> dict[str, Any]:
        """Name, task and licences of the data, for Asteroid's ``save_publishable``."""
        return corpus_infos(self.json_dir, self.task)

    def _utterance(self, voice: Voice, rng: np.random.Generator) -> np.ndarray:
        stream = Stream(voice, self.sample_rate).seek(rng)
        return voice.render(stream.take(self.seg_len, rng), self.seg_len)

    def _noise(self, speakers: list[Voice], rng: np.random.Generator) -> np.ndarray:
        kinds = self.pool.options["noise_kinds"]
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind == "recordings":
            recording = self.pool.noises[int(rng.integers(len(self.pool.noises)))]
            return random_stretch(recording, self.seg_len, rng)
        if kind == "babble":
            spoken = {voice.name for voice in speakers}
            others = [voice for voice in self.pool.voices if voice.name not in spoken]
            return babble(others, self.seg_len, rng)
        return shaped_noise(self._spectrum, self.seg_len, self.sample_rate, rng)


def _pool_folder(json_dir: Path) -> Path:
    try:
        return Path(json.loads((json_dir / CORPUS_FILE).read_text())["pool"])
    except (OSError, ValueError, KeyError, TypeError):
        raise LatrefError(
            f"{json_dir}: its corpus kept no recordings to mix anew; build it with --pool_hours"
            " (stages 1 and 2), or set data.n_mixtures to 0"
        ) from None
