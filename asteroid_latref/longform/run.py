"""Runs a model over a stream of samples, window by window, holding only what is needed."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import LatrefError
from .stitch import Stitcher
from .windows import Span, batches, plan_windows

Array = npt.NDArray[np.float32]
Operate = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]


def operate(model: nn.Module, n_blocks: int | None = None, n_iters: Any = None) -> Operate:
    """The model at one operating point: ``(batch, 1, time)`` to estimates and steps.

    Gated models decide their steps themselves unless ``n_iters`` is given; others report none.

    Raises:
        LatrefError: the model has no such operating point.
    """
    chosen = {"n_blocks": n_blocks, "n_iters": n_iters}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    gated = "n_iters" not in chosen and hasattr(model, "separate_with_steps")
    call: Callable[..., Any] = getattr(model, "separate_with_steps" if gated else "forward")
    for name in chosen:
        if name not in inspect.signature(call).parameters:
            raise LatrefError(f"{name}={chosen[name]}: {type(model).__name__} has no such choice")
    check: Callable[..., Any] | None = getattr(model, "operating_point", None)
    if check is not None:
        try:
            check(**chosen)
        except ValueError as err:
            raise LatrefError(str(err)) from err

    def run(wav: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        out: Any = call(wav, **chosen)
        return out if gated else (out, None)

    return run


class WindowRun:
    """One pass of a model over a recording.

    Args:
        model: any module with ``forward``: ``(batch, 1, time)`` to ``(batch, n_src, time)``.
        n_speech: its first ``n_speech`` outputs are speech and may change places between windows.
        window: length of a window in samples, 0 for whole recordings.
        overlap: least overlap of windows in samples.
        fade: crossfade in samples.
        batch: windows per call of the model.
        n_blocks: operating point, see :func:`operate`.
        n_iters: operating point, see :func:`operate`.

    Attributes:
        spans: windows of the last recording, ``(start, stop)`` in samples.
        steps: refinement steps the gate took in each window and stream, ``(windows, streams)``;
            empty for models without a gate.
    """

    def __init__(
        self,
        model: nn.Module,
        n_speech: int,
        window: int,
        overlap: int,
        fade: int,
        batch: int,
        n_blocks: int | None = None,
        n_iters: Any = None,
    ):
        self.n_speech = n_speech
        self.window, self.overlap, self.fade, self.batch = window, overlap, fade, batch
        self._operate = operate(model, n_blocks, n_iters)
        first = next(model.parameters(), None)
        self._device = torch.device("cpu") if first is None else first.device
        self.spans: list[Span] = []
        self.steps: list[list[float]] = []

    def __call__(self, blocks: Iterable[Array], total: int) -> Iterator[tuple[Array, Array]]:
        """Separates a stream.

        Args:
            blocks: samples ``(streams, time)``, ``total`` in all.
            total: length of the recording in samples.

        Yields:
            Estimates ``(streams, n_src, time)`` and the mixture ``(streams, time)`` they belong to.
        """
        self.spans = plan_windows(total, self.window, self.overlap)
        self.steps = []
        stitcher = Stitcher(self.n_speech, self.fade)
        source = iter(blocks)
        held: list[Array] = [next(source)]
        start = 0  # sample number of the first sample held
        groups = batches(self.spans, self.batch)
        for number, group in enumerate(groups):
            while start + sum(b.shape[-1] for b in held) < group[-1][1]:
                held.append(next(source))
            buffer = np.concatenate(held, axis=-1)
            windows = np.stack([buffer[:, a - start : b - start] for a, b in group])
            for (first, _), est in zip(group, self._estimate(windows), strict=True):
                done = stitcher.done
                ready = stitcher.add(first, est)
                yield ready, buffer[:, done - start : done - start + ready.shape[-1]]
            # The next window may begin before what is final ends, where windows overlap by half.
            last = number + 1 == len(groups)
            keep = stitcher.done if last else min(stitcher.done, groups[number + 1][0][0])
            held, start = [buffer[:, keep - start :]], keep
        rest = stitcher.flush()
        yield rest, held[0][:, : rest.shape[-1]]

    def _estimate(self, windows: Array) -> Array:
        """Estimates ``(windows, streams, n_src, time)`` of ``(windows, streams, time)``."""
        n, streams, time = windows.shape
        flat = torch.from_numpy(np.ascontiguousarray(windows)).reshape(n * streams, 1, time)
        with torch.inference_mode():
            est, steps = self._operate(flat.to(self._device))
            result: Array = est.float().cpu().numpy()
        if result.ndim != 3 or result.shape[::2] != (n * streams, time):
            raise LatrefError(
                f"the model gave {result.shape} for {tuple(flat.shape)}, not (batch, n_src, time)"
            )
        if not np.isfinite(result).all():
            raise LatrefError("the model gave NaN or infinite samples; its weights are damaged")
        if steps is not None:
            self.steps += steps.float().cpu().reshape(n, streams).tolist()
        return result.reshape(n, streams, -1, time)
