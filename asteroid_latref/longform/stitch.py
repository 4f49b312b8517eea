"""Joins the estimates of overlapping windows: same source order throughout, no seam."""

from itertools import permutations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def best_order(score: npt.NDArray[np.floating], n_speech: int) -> list[int]:
    """The order of the new slots that agrees best with the old ones; noise stays where it is.

    Args:
        score: agreement ``(n_src, n_src)`` of old slot i with new slot j (inner products).
        n_speech: the first ``n_speech`` slots may change places; the others may not.

    Returns:
        ``order`` such that new slot ``order[i]`` continues old slot i. Unchanged on a tie, as when
        both windows are silent where they overlap.

    Examples:
        >>> best_order(np.array([[0.1, 2.0, 0.0], [3.0, 0.2, 9.0], [0.0, 9.0, 1.0]]), n_speech=2)
        [1, 0, 2]
    """
    fixed = tuple(range(n_speech, len(score)))
    rows = np.arange(n_speech)
    candidates = permutations(range(n_speech))  # the first is "unchanged", and max keeps it on ties
    speech = max(candidates, key=lambda p: float(score[rows, list(p)].sum()))
    return list(speech + fixed)


class Stitcher:
    """Takes window estimates in order and gives back finished samples.

    Neighbours are compared over their whole overlap to find the source order, and crossfaded only
    in its middle, where both have context on either side.

    Args:
        n_speech: how many of the first slots are speech and may have changed places.
        fade: length of the crossfade in samples; shortened where the overlap is shorter.
    """

    def __init__(self, n_speech: int, fade: int):
        self.n_speech = n_speech
        self.fade = fade
        self.done = 0
        self._start = 0
        self._held: Array | None = None

    def add(self, start: int, est: Array) -> Array:
        """Adds the window that begins at sample ``start``; returns the samples now final.

        Args:
            start: first sample of the window.
            est: estimates ``(streams, n_src, time)``; each stream has its own source order.

        Returns:
            Samples ``(streams, n_src, new)`` following those returned before.
        """
        if self._held is None:
            self._start, self._held = start, est
            return est[..., :0]
        common = self._start + self._held.shape[-1] - start
        old, new = self._held[..., self._held.shape[-1] - common :], est[..., :common]
        if self.n_speech > 1:
            score = np.einsum("sit,sjt->sij", old, new)
            orders = np.array([best_order(s, self.n_speech) for s in score])
            est = np.take_along_axis(est, orders[..., None], axis=1)
            new = est[..., :common]
        # Never longer than the step to this window: fades of three windows must not meet.
        fade = min(self.fade, common, start - self._start)
        first = start + (common - fade) // 2
        lo, hi = first - start, first - start + fade
        ramp = np.sin(np.linspace(0, np.pi / 2, fade + 2, dtype=np.float32)[1:-1]) ** 2
        mixed = old[..., lo:hi] * (1 - ramp) + new[..., lo:hi] * ramp
        ready = [self._held[..., self.done - self._start : first - self._start], mixed]
        self._start, self._held, self.done = start, est, first + fade
        return np.concatenate(ready, axis=-1)

    def flush(self) -> Array:
        """The samples of the last window that were still held back ``(streams, n_src, rest)``."""
        if self._held is None:
            raise ValueError("flush() before any window was added")
        rest = self._held[..., self.done - self._start :]
        self.done += rest.shape[-1]
        self._held = None
        return rest
