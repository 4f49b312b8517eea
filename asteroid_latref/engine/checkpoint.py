"""Checkpoints that are whole or not there, and say so when they are not."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from ..errors import LatrefError
from ..files import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's way to store checkpoints, with a rename on the same disk as the last step.

    Lightning itself moves them there from the system's temporary folder: with that on another disk,
    a kill during the move leaves half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Writes a checkpoint; raises :class:`LatrefError` if the disk is full."""
        write_checkpoint(checkpoint, path)


def write_checkpoint(obj: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes what ``torch.load`` reads, whole or not at all.

    Raises:
        LatrefError: no space left, or the folder cannot be written.
    """
    buffer = io.BytesIO()  # PyTorch's own writer hides which error it was
    torch.save(obj, buffer)
    with atomic_path(path) as tmp:
        tmp.write_bytes(buffer.getbuffer())


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint of a training, tensors and plain values only.

    Raises:
        LatrefError: it is missing, cut short or no such checkpoint.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["state_dict"], checkpoint["training_config"]
    except FileNotFoundError as err:
        raise LatrefError(f"{path}: no such checkpoint; train first (stage 3)") from err
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, OSError) as err:
        raise LatrefError(
            f"{path}: is damaged or no checkpoint of this package; remove it, and train anew or"
            " put back a whole copy"
        ) from err
    return checkpoint


def remove_leftovers(folder: Path) -> None:
    """Removes what a kill in the middle of writing left in ``folder``."""
    for path in folder.glob(".part-*"):
        path.unlink(missing_ok=True)
