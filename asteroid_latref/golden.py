"""Outputs of a model for one fixed input at every operating point, to notice when they change."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .models import GatedSudoRmRf, LatentRefinementModel

Array = npt.NDArray[np.float32]

SECONDS = 2.0
_EVERY = 41  # a prime: every phase of the decoder's hop is among the samples kept
GATE, GATE_STEPS = "gate", "gate_steps"


def golden_input(sample_rate: float, seconds: float = SECONDS) -> Array:
    """Gliding harmonics in noise, ``(time,)``: the same on every machine and with every library.

    Examples:
        >>> wav = golden_input(8000)
        >>> wav.shape, bool(np.abs(wav).max() < 0.5)
        ((16000,), True)
    """
    n = round(seconds * sample_rate)
    time = np.arange(n) / sample_rate
    voice = sum(np.sin(2 * np.pi * k * (140 + 30 * time) * time) / k for k in range(1, 9))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 3 * time)
    # Whole-number arithmetic rather than a generator, whose stream a library may change.
    index = np.arange(n, dtype=np.uint64)
    mixed = (index * np.uint64(2654435761) + np.uint64(12345)) % np.uint64(2**32)
    mixed = (mixed * mixed // np.uint64(65536)) % np.uint64(2**32)
    noise = mixed / 2**31 - 1
    return (0.08 * voice * syllables + 0.05 * noise).astype(np.float32)


def golden_outputs(model: LatentRefinementModel) -> dict[str, Array]:
    """A sparse sample of the outputs for :func:`golden_input`, at every operating point.

    Args:
        model: any of this package; it is put in eval mode.

    Returns:
        ``(n_src, samples kept)`` by operating point, ``"2/4,4"`` being two blocks of four
        iterations each; of a gated model also ``"gate"``, and ``"gate_steps"``, ``(1,)``.
    """
    wav = torch.from_numpy(golden_input(model.sample_rate))
    model.eval()
    found = {}
    with torch.inference_mode():
        for n_blocks, counts in model.operating_points():
            key = f"{n_blocks}/{','.join(map(str, counts))}"
            found[key] = _kept(model(wav, n_blocks=n_blocks, n_iters=list(counts)))
        if isinstance(model, GatedSudoRmRf):
            est, steps = model.separate_with_steps(wav)
            found |= {GATE: _kept(est), GATE_STEPS: steps.reshape(1).numpy().astype(np.float32)}
    return found


def write_golden(path: str | os.PathLike[str], outputs: dict[str, Array]) -> None:
    """Writes what :func:`golden_outputs` gave as ``.npz``."""
    arrays: dict[str, Any] = {key.replace("/", "_"): value for key, value in outputs.items()}
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_golden(path: str | os.PathLike[str]) -> dict[str, Array]:
    """What :func:`write_golden` wrote."""
    with np.load(path) as stored:
        return {
            key if key.startswith(GATE) else key.replace("_", "/"): stored[key] for key in stored
        }


def _kept(est: torch.Tensor) -> Array:
    return np.ascontiguousarray(est.numpy()[:, ::_EVERY])
