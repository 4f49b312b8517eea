"""WHAM! through Asteroid's JSON manifests, with the noise as the last target slot."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..audio import audio_info, read_audio
from ..errors import LatrefError
from .epochs import EpochDataset
from .licenses import WHAM_LICENSES, read_corpus_file


@dataclass(frozen=True)
class Task:
    """What a WHAM! task mixes and wants back.

    Attributes:
        mixture: folder (and manifest) of the input.
        slots: folders of the targets, speech first, then noise.
        n_speech: how many of the slots are speech.
    """

    mixture: str
    slots: tuple[str, ...]
    n_speech: int


TASKS = {
    "enh_single": Task("mix_single", ("s1", "noise"), 1),
    "enh_both": Task("mix_both", ("mix_clean", "noise"), 1),
    "sep_clean": Task("mix_clean", ("s1", "s2"), 2),
    "sep_noisy": Task("mix_both", ("s1", "s2", "noise"), 2),
}
_ALIASES = {"enhance_single": "enh_single", "enhance_both": "enh_both"}


def get_task(name: str) -> Task:
    """The task of that name; Asteroid's ``enhance_single`` and ``enhance_both`` are known too.

    Raises:
        LatrefError: there is no such task.
    """
    try:
        return TASKS[_ALIASES.get(name, name)]
    except KeyError:
        raise LatrefError(f"unknown task '{name}'; choose from {', '.join(TASKS)}") from None


class WhamDataset(EpochDataset):
    """Mixtures and targets of one split.

    Items are ``(mixture, targets)``: float32 tensors ``(time,)`` and ``(slots, time)``, where the
    slots are those of :data:`TASKS`. Items shorter than the segment are padded with zeros at their
    end, as in the papers; Asteroid's own dataset drops them.

    Which part of a longer item is taken depends on ``(seed, epoch, index)`` and nothing else: the
    number of workers, the order of the items and a resumed run make no difference.

    Args:
        json_dir: folder of the split's manifests, ``{mixture,slot}.json``, each a list of
            ``[path, number of samples]`` as Asteroid's recipes write them.
        task: a key of :data:`TASKS`.
        sample_rate: rate of the files in Hz.
        segment: length of the items in seconds. None gives whole files (batches of one, then).
        seed: of the crops.

    Raises:
        LatrefError: unknown task; missing, empty or inconsistent manifest; listed file gone; wrong
            sample rate. Reading an item raises it for a file that is corrupt, has no samples, has
            NaN samples, several channels, or another length than its mixture.
    """

    def __init__(
        self,
        json_dir: str | os.PathLike[str],
        task: str,
        sample_rate: int = 8000,
        segment: float | None = 4.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if segment is not None and not segment > 0:
            raise LatrefError(f"segment must be a positive number of seconds, not {segment}")
        self.json_dir = Path(json_dir)
        self.task = _ALIASES.get(task, task)
        self.slots = get_task(task).slots
        self.n_src = len(self.slots)
        self.n_speech = get_task(task).n_speech
        self.sample_rate = sample_rate
        self.segment = segment
        self.seg_len = None if segment is None else round(segment * sample_rate)
        self.seed = seed
        self._items = _load_items(self.json_dir, get_task(task))
        for path in self._items[0][0]:
            audio_info(path, sample_rate)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        paths, length = self._items[index]
        start, stop = self.crop(index)
        wavs = np.stack([self._read(path, length, start, stop) for path in paths])
        if self.seg_len is not None and stop - start < self.seg_len:
            wavs = np.pad(wavs, ((0, 0), (0, self.seg_len - (stop - start))))
        both = torch.from_numpy(wavs)  # (1 + slots, time)
        return both[0], both[1:]

    def crop(self, index: int) -> tuple[int, int]:
        """First sample of the part of an item that this epoch takes, and the one to stop before."""
        length = self._items[index][1]
        if self.seg_len is None or length <= self.seg_len:
            return 0, length
        rng = np.random.default_rng((self.seed, self.epoch, index % len(self)))
        start = int(rng.integers(0, length - self.seg_len + 1))
        return start, start + self.seg_len

    def path(self, index: int) -> Path:
        """The mixture's file."""
        return Path(self._items[index][0][0])

    def get_infos(self) -> dict[str, Any]:
        """Name, task and licences of the data, for Asteroid's ``save_publishable``."""
        return corpus_infos(self.json_dir, self.task)

    def _read(self, path: str, length: int, start: int, stop: int) -> np.ndarray:
        wav, _ = read_audio(path, self.sample_rate, start, stop, n_samples=length)
        if wav.shape[1] != 1:
            raise LatrefError(f"{path}: has {wav.shape[1]} channels; mono files are needed")
        return wav[:, 0]


def corpus_infos(json_dir: Path, task: str) -> dict[str, Any]:
    """Name, task and licences of the corpus whose manifests are in ``json_dir``."""
    corpus = read_corpus_file(json_dir)
    licenses = WHAM_LICENSES if corpus is None else corpus["licenses"]
    kinds = ("speech", "noise") if "noise" in get_task(task).slots else ("speech",)
    return {
        "dataset": "WHAM" if corpus is None else corpus["name"],
        "task": task,
        "licenses": [dict(lic) for kind in kinds for lic in licenses[kind]],
    }


def _load_items(json_dir: Path, task: Task) -> list[tuple[list[str], int]]:
    """The items of a split: files (mixture first, then the slots) and their common length."""
    if not json_dir.is_dir():
        raise LatrefError(f"{json_dir}: no such folder; the manifests are made by stage 2")
    lists = {
        name: _load_manifest(json_dir / f"{name}.json") for name in (task.mixture, *task.slots)
    }
    mixtures = lists[task.mixture]
    for name, entries in lists.items():
        if len(entries) != len(mixtures):
            raise LatrefError(
                f"{json_dir / name}.json: lists {len(entries)} files, {task.mixture}.json lists "
                f"{len(mixtures)}; write the manifests anew (stage 2)"
            )
    items = []
    for i, (mixture, length) in enumerate(mixtures):
        for name in task.slots:
            path, n_samples = lists[name][i]
            if n_samples != length:
                raise LatrefError(
                    f"{path}: has {n_samples} samples, its mixture {mixture} has {length}; "
                    "they must be equally long"
                )
        items.append(([lists[name][i][0] for name in (task.mixture, *task.slots)], length))
    for paths, _ in items:
        for path in paths:
            if not os.path.isfile(path):
                raise LatrefError(f"{path}: listed in {json_dir} but gone; run stage 2 again")
    return items


def _load_manifest(path: Path) -> list[tuple[str, int]]:
    try:
        entries = json.loads(path.read_text())
        entries = [(str(name), int(n_samples)) for name, n_samples in entries]
    except FileNotFoundError:
        raise LatrefError(f"{path}: no such manifest; it is made by stage 2") from None
    except (ValueError, TypeError) as err:
        raise LatrefError(f"{path}: not a list of [path, number of samples] ({err})") from None
    if not entries:
        raise LatrefError(f"{path}: lists no files; make the mixtures (stage 1), then stage 2")
    for name, n_samples in entries:
        if n_samples <= 0:
            raise LatrefError(f"{name}: listed with {n_samples} samples in {path}; remove the file")
    return entries
