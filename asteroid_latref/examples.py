"""Three mixtures of a test set that come with the package: for ``latref demo``, offline."""

from dataclasses import dataclass
from pathlib import Path

import torch

from . import bundled
from .audio import read_audio
from .data.wham import get_task
from .errors import LatrefError

#: What each example's folder holds, as FLAC. ``mix_clean`` is the sum of the speakers.
PARTS = ("mix_single", "mix_both", "s1", "s2", "noise")


@dataclass(frozen=True)
class Example:
    """A mixture and what it is made of.

    Attributes:
        name: of its folder.
        mixture: ``(time,)``.
        targets: ``(slots, time)``, speech first.
    """

    name: str
    mixture: torch.Tensor
    targets: torch.Tensor


def examples_dir() -> Path:
    """Where the examples lie."""
    return bundled.WEIGHTS_DIR / bundled.EXAMPLES


def load_examples(task: str, sample_rate: int) -> list[Example]:
    """The examples as mixtures and targets of a task, sorted by name.

    Args:
        task: a key of :data:`asteroid_latref.data.wham.TASKS`.
        sample_rate: in Hz; that of the examples.

    Raises:
        LatrefError: none in this copy of the package, of another rate, damaged, unknown task.
    """
    wanted = get_task(task)
    folders = sorted(path for path in examples_dir().glob("*") if path.is_dir())
    if not folders:
        raise LatrefError("no test mixtures come with this copy of the package; install a release")
    examples = []
    for folder in folders:
        parts = {name: _read(folder / f"{name}.flac", sample_rate) for name in PARTS}
        if len({len(wav) for wav in parts.values()}) > 1:
            raise LatrefError(f"{folder}: its files differ in length; install the package again")
        parts["mix_clean"] = parts["s1"] + parts["s2"]
        targets = torch.stack([parts[slot] for slot in wanted.slots])
        examples.append(Example(folder.name, parts[wanted.mixture], targets))
    return examples


def _read(path: Path, sample_rate: int) -> torch.Tensor:
    wav, _ = read_audio(path, sample_rate)
    return torch.from_numpy(wav[:, 0].copy())
