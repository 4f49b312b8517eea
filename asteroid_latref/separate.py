"""Separating arrays and files of any length with any model of waveforms to waveforms."""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from tqdm import tqdm

from .data.wham import get_task
from .errors import LatrefError
from .longform.levels import LevelMeter
from .longform.reader import Recording
from .longform.run import WindowRun
from .longform.writer import RawStore, check_folder, write_sources

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SeparateOptions:
    """How to separate; the defaults suit speech on a small machine.

    Args:
        n_blocks: blocks to run. Default: all.
        n_iters: iterations of each block. Default: as trained; a gated model decides by itself.
        window: length of the windows in seconds; 0 processes every recording whole. The norms are
            global, so a window sees its own statistics: long ones give what the whole recording
            would, short ones follow conditions that change. Memory grows with it.
        overlap: least overlap of neighbouring windows in seconds; source order is found there.
            Default: 4, or a quarter of windows shorter than 16.
        fade: crossfade in seconds, in the middle of the overlap.
        batch: windows per call of the model. Default: 1 on the CPU, 8 on a GPU.
        resample: accept other sample rates and convert there and back.
        channels: ``"mix"`` or ``"each"``; default: stereo is mixed down, more is refused.
        overwrite: replace outputs that exist.
    """

    n_blocks: int | None = None
    n_iters: Any = None
    window: float = 30.0
    overlap: float | None = None
    fade: float = 0.5
    batch: int | None = None
    resample: bool = False
    channels: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.window != 0 and not 1 <= self.window <= 3600:
            raise LatrefError(f"window={self.window}: 0 (whole files) or 1 to 3600 seconds")
        if self.window != 0 and not 0 <= 2 * self.overlap_seconds <= self.window:
            raise LatrefError(f"overlap={self.overlap}: at most half of window={self.window}")
        if self.batch is not None and self.batch < 1:
            raise LatrefError(f"batch={self.batch}: must be at least 1")
        if self.channels not in (None, "mix", "each"):
            raise LatrefError(f"channels={self.channels!r}: must be 'mix' or 'each'")

    @property
    def overlap_seconds(self) -> float:
        """``overlap``, or its default."""
        return min(4.0, self.window / 4) if self.overlap is None else self.overlap


@dataclass
class FileSummary:
    """What was done with one file. Times in seconds; steps are ``[window][stream]``."""

    file: str
    outputs: list[str]
    seconds: float = 0.0
    channels: int = 1
    windows: int = 0
    elapsed: float = 0.0
    real_time_factor: float = 0.0
    peak_scale: float = 1.0
    gains: list[list[float]] = field(default_factory=list)
    steps: list[list[float]] = field(default_factory=list)
    mean_steps: float | None = None
    note: str = ""
    skipped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def slots_of(model: nn.Module) -> tuple[tuple[str, ...], int]:
    """Names of a model's outputs and how many of them, from the first, are speech.

    The task stored with a published model decides. Without one: one output is speech, two are two
    speakers, three are two speakers and noise; more are speakers.

    Examples:
        >>> from asteroid_latref import IterSudoRmRf
        >>> slots_of(IterSudoRmRf(n_src=3, bn_chan=8, hid_chan=8, n_filters=8, n_sub_blocks=1))
        (('s1', 's2', 'noise'), 2)
    """
    task = getattr(model, "task", None)
    n_src = getattr(model, "n_src", None) or getattr(getattr(model, "masker", None), "n_src", None)
    if task is not None:
        found = get_task(str(task))
        if n_src in (None, len(found.slots)):
            return found.slots, found.n_speech
    if n_src is None:
        raise LatrefError(f"{type(model).__name__} does not say how many sources it has (n_src)")
    n_speech = 2 if n_src == 3 else int(n_src)
    return tuple(f"s{i + 1}" for i in range(n_speech)) + ("noise",) * (n_src - n_speech), n_speech


def separate_array(
    model: nn.Module, wav: npt.ArrayLike, options: SeparateOptions | None = None
) -> tuple[Array, list[list[float]]]:
    """Separates samples in memory, in windows if they are long; levels restored as in files.

    Args:
        model: ``(batch, 1, time)`` to ``(batch, n_src, time)``, with ``sample_rate``.
        wav: samples ``(time,)`` at the model's rate.
        options: see :class:`SeparateOptions`.

    Returns:
        Estimates ``(n_src, time)`` that add up to ``wav`` in the least-squares sense, and the steps
        a gate took, ``[window][0]`` (empty without a gate).

    Examples:
        >>> from asteroid_latref import IterSudoRmRf
        >>> model = IterSudoRmRf(n_src=2, bn_chan=8, hid_chan=8, n_filters=8, n_sub_blocks=1)
        >>> est, steps = separate_array(model, np.random.default_rng(0).normal(size=12_345))
        >>> est.shape, steps
        ((2, 12345), [])
    """
    mix = np.asarray(wav, dtype=np.float32).reshape(1, -1)
    run = _window_run(model, options or SeparateOptions())
    parts = []
    meter: LevelMeter | None = None
    with _eval_mode(model):
        for est, part in run([mix], mix.shape[-1]):
            meter = meter or LevelMeter(*est.shape[:2])
            meter.update(est, part)
            parts.append(est)
    assert meter is not None
    whole = np.concatenate(parts, axis=-1)[0]  # (n_src, time)
    return (whole * meter.gains()[0, :, None]).astype(np.float32), run.steps


def separate_file(
    model: nn.Module,
    path: str | os.PathLike[str],
    out_dir: str | os.PathLike[str] | None = None,
    options: SeparateOptions | None = None,
    progress: bool = False,
) -> FileSummary:
    """Separates a recording of any length into ``<name>_<slot>.wav`` files, in bounded memory.

    The file is read, resampled, separated, stitched and stored window by window; then, with the
    gains known, scaled and written. Outputs appear all together or not at all.

    Args:
        model: ``(batch, 1, time)`` to ``(batch, n_src, time)``, with ``sample_rate``.
        path: the recording.
        out_dir: folder of the outputs. Default: beside the recording.
        options: see :class:`SeparateOptions`.
        progress: show a progress bar (on a terminal).

    Raises:
        LatrefError: the file cannot be read or separated, the outputs cannot be written.
    """
    options = options or SeparateOptions()
    path = Path(path)
    slots, n_speech = slots_of(model)
    outputs = output_paths(path, slots, out_dir)
    summary = FileSummary(str(path), [str(p) for p in outputs])
    if not options.overwrite and any(p.exists() for p in outputs):
        return replace(summary, skipped=True, note="outputs exist; --overwrite replaces them")
    recording = Recording(path, _rate(model), options.resample, options.channels)
    check_folder(outputs[0].parent)
    began = time.perf_counter()
    run = _window_run(model, options)
    store = RawStore(outputs[0].parent, recording.streams, len(slots))
    try:
        with _eval_mode(model):
            meter = _separate_to(store, run, recording, progress)
        gains, orders = meter.gains(), meter.orders(n_speech)
        scale = meter.peak_scale(gains)
        rates = recording.rate, recording.source_rate
        blocks = _scaled(store.blocks(), gains * scale, orders)
        write_sources(outputs, blocks, *rates, recording.source_frames, recording.subtype)
    finally:
        store.close()
    elapsed = time.perf_counter() - began
    steps = [s for window in run.steps for s in window]
    clipped = f"all outputs scaled by {scale:.3f} so that none clips" if scale < 1 else ""
    return replace(
        summary,
        seconds=recording.seconds,
        channels=recording.source_channels,
        windows=len(run.spans),
        elapsed=elapsed,
        real_time_factor=elapsed / recording.seconds,
        peak_scale=scale,
        gains=np.take_along_axis(gains, orders, axis=1).tolist(),
        steps=run.steps,
        mean_steps=float(np.mean(steps)) if steps else None,
        note=", ".join(filter(None, [recording.note, clipped])),
    )


def output_paths(
    path: Path, slots: tuple[str, ...], out_dir: str | os.PathLike[str] | None = None
) -> list[Path]:
    """Where the estimates of a recording go: ``<name>_<slot>.wav``."""
    folder = path.parent if out_dir is None else Path(out_dir)
    return [folder / f"{path.stem}_{slot}.wav" for slot in slots]


def _separate_to(
    store: RawStore, run: WindowRun, recording: Recording, progress: bool
) -> LevelMeter:
    meter = LevelMeter(*store.shape)
    seconds = recording.total / recording.rate
    shown = None if progress else True  # None: only on a terminal
    with tqdm(total=round(seconds), unit="s", desc=recording.path.name, disable=shown) as bar:
        done = 0
        for est, mix in run(recording.blocks(), recording.total):
            if est.shape[:2] != store.shape:
                raise LatrefError(f"the model gave {est.shape[1]} sources, not {store.shape[1]}")
            meter.update(est, mix)
            store.append(est)
            done += est.shape[-1]
            bar.update(done // recording.rate - bar.n)
    return meter


def _scaled(
    blocks: Iterator[Array], gains: npt.NDArray[np.float64], orders: npt.NDArray[np.intp]
) -> Iterator[Array]:
    factors = gains.astype(np.float32)[..., None]
    for block in blocks:
        yield np.take_along_axis(block * factors, orders[..., None], axis=1)


def _window_run(model: nn.Module, options: SeparateOptions) -> WindowRun:
    rate = _rate(model)
    on_cpu = all(p.device.type == "cpu" for p in model.parameters())
    return WindowRun(
        model,
        n_speech=slots_of(model)[1],
        window=round(options.window * rate),
        overlap=round(options.overlap_seconds * rate),
        fade=round(options.fade * rate),
        batch=options.batch or (1 if on_cpu else 8),
        n_blocks=options.n_blocks,
        n_iters=options.n_iters,
    )


def _rate(model: nn.Module) -> int:
    rate = getattr(model, "sample_rate", None)
    if not rate:
        raise LatrefError(f"{type(model).__name__} does not say its sample rate; set sample_rate")
    return int(rate)


class _eval_mode:
    """Puts a model in eval mode for a while: gates and norms must not act as in training."""

    def __init__(self, model: nn.Module):
        self.model, self.was_training = model, model.training

    def __enter__(self) -> None:
        self.model.eval()

    def __exit__(self, *_: object) -> None:
        self.model.train(self.was_training)


__all__ = [
    "FileSummary",
    "SeparateOptions",
    "output_paths",
    "separate_array",
    "separate_file",
    "slots_of",
]
