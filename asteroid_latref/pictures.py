"""Pictures of an evaluation: spectrograms of an example, the loss curve of a training."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .errors import LatrefError
from .files import atomic_path

# Blue and orange differ in lightness too, so the curves survive a grey print.
TRAIN_COLOUR, VALID_COLOUR = "#1f5fa8", "#e08a1e"


def spectrogram_picture(
    path: str | os.PathLike[str],
    mixture: np.ndarray,
    targets: np.ndarray,
    estimates: np.ndarray,
    names: Sequence[str],
    sample_rate: int,
    title: str = "",
) -> None:
    """Draws the mixture above the targets (left) and their estimates (right), as a PNG.

    Args:
        path: the PNG to write.
        mixture: ``(time,)``.
        targets: ``(slots, time)``.
        estimates: ``(slots, time)``.
        names: of the slots.
        sample_rate: in Hz.
        title: of the picture.
    """
    # One scale for all, so that what is missing in an estimate looks missing.
    top = _level(mixture).max()
    n_rows = 1 + len(targets)
    figure = Figure(figsize=(9, 1.0 + 1.5 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, 2, sharex=True, sharey=True, squeeze=False)
    axes[0, 1].set_visible(False)
    _draw(axes[0, 0], mixture, "mixture", sample_rate, top)
    for row, name in enumerate(names):
        _draw(axes[row + 1, 0], targets[row], f"{name}: target", sample_rate, top)
        _draw(axes[row + 1, 1], estimates[row], f"{name}: estimate", sample_rate, top)
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    if title:
        figure.suptitle(title, fontsize=10)
    _save(figure, path)


def column_picture(
    path: str | os.PathLike[str],
    columns: Sequence[Sequence[tuple[str, np.ndarray]]],
    sample_rate: int,
    title: str = "",
) -> None:
    """Draws columns of spectrograms below each other, on one scale, as a PNG.

    Args:
        path: the PNG to write.
        columns: of ``(title, samples (time,))``, each as long as the others.
        sample_rate: in Hz.
        title: of the picture.
    """
    top = _level(columns[0][0][1]).max()
    n_rows, n_columns = len(columns[0]), len(columns)
    size = (1.0 + 5.5 * n_columns, 0.8 + 1.45 * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for number, column in enumerate(columns):
        for row, (name, wav) in enumerate(column):
            _draw(axes[row, number], wav, name, sample_rate, top)
        axes[-1, number].set_xlabel("seconds")
    if title:
        figure.suptitle(title, fontsize=10)
    _save(figure, path)


def loss_picture(path: str | os.PathLike[str], history: str | os.PathLike[str]) -> None:
    """Draws training and validation loss over the epochs, from ``history.csv``, as a PNG.

    Raises:
        LatrefError: the history cannot be read.
    """
    try:
        rows = pd.read_csv(history)
        curves = [rows[name] for name in ("epoch", "loss", "val_loss")]
    except (OSError, ValueError, KeyError) as err:
        raise LatrefError(f"{history}: no loss history ({err}); stage 3 writes it") from err
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(curves[0], curves[1], color=TRAIN_COLOUR, label="training (remixed)")
    axis.plot(curves[0], curves[2], color=VALID_COLOUR, label="validation")
    axis.set_xlabel("epoch")
    axis.set_ylabel("negative SI-SDR, all slots (dB)")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    _save(figure, path)


def _level(wav: np.ndarray, size: int = 256, hop: int = 64) -> np.ndarray:
    """Short-time spectrum in dB, ``(bins, frames)``."""
    padded = np.pad(wav, (0, max(size - len(wav), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    spectrum = np.fft.rfft(frames * np.hanning(size), axis=-1)
    return 20 * np.log10(np.abs(spectrum.T) + 1e-8)


def _draw(axis: Axes, wav: np.ndarray, name: str, sample_rate: int, top: float) -> None:
    extent = (0.0, len(wav) / sample_rate, 0.0, sample_rate / 2000)
    axis.imshow(_level(wav), origin="lower", aspect="auto", extent=extent, vmin=top - 70, vmax=top)
    axis.set_title(name, fontsize=9, loc="left", pad=2)
    axis.set_ylabel("kHz")


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with atomic_path(Path(path)) as tmp:
        figure.savefig(tmp, dpi=90)
