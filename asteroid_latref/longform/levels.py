"""Levels of the estimates: SI-SDR training leaves them free, a listener wants them back."""

import numpy as np
import numpy.typing as npt

from .stitch import best_order

Array = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


def mixture_gains(gram: Matrix, cross: Matrix, ridge: float = 1e-7) -> Matrix:
    """One gain per source such that the scaled sources add up to the mixture (least squares).

    Minimises ``|m - sum_k a_k s_k|^2``, and among the gains that do so nearly equally well
    prefers equal ones: a slot that is silent, or a faint copy of another, keeps the gain of the
    others instead of being blown up.

    Args:
        gram: inner products of the sources ``(n_src, n_src)``.
        cross: inner products of source and mixture ``(n_src,)``.
        ridge: weight of "equal gains" relative to the mean source energy.

    Returns:
        Gains ``(n_src,)``, always finite; all 1 where every source is silent.

    Examples:
        >>> s = np.eye(2) * [[2.0], [0.5]]     # two orthogonal sources, one too loud
        >>> m = np.array([1.0, 1.0])
        >>> mixture_gains(s @ s.T, s @ m).round(2)
        array([0.5, 2. ])
    """
    n_src = len(gram)
    power = float(np.trace(gram)) / n_src
    if not power > np.finfo(np.float32).tiny:
        return np.ones(n_src)
    gram, cross = gram / power, cross / power
    total = float(gram.sum())
    common = float(cross.sum()) / total if total > ridge else 1.0
    ones = np.full(n_src, common)
    return ones + np.linalg.solve(gram + ridge * np.eye(n_src), cross - gram @ ones)


class LevelMeter:
    """Gathers, block by block, what the gains of a whole recording need.

    One set of gains per recording, not per window: a gain found on a window in which a source
    pauses is noise, and gains that change are heard.

    Args:
        streams: channels separated independently.
        n_src: slots per stream.
    """

    def __init__(self, streams: int, n_src: int):
        self.gram = np.zeros((streams, n_src, n_src))
        self.cross = np.zeros((streams, n_src))
        self.across = np.zeros((streams, n_src, n_src))
        self.peak = np.zeros((streams, n_src))

    def update(self, est: Array, mix: Array) -> None:
        """Adds a block: estimates ``(streams, n_src, time)``, mixture ``(streams, time)``."""
        if est.shape[-1] == 0:
            return
        wide = est.astype(np.float64)
        self.gram += wide @ wide.swapaxes(1, 2)
        self.cross += np.einsum("snt,st->sn", wide, mix.astype(np.float64))
        self.across += wide[:1] @ wide.swapaxes(1, 2)
        self.peak = np.maximum(self.peak, np.abs(est).max(axis=-1))

    def orders(self, n_speech: int) -> npt.NDArray[np.intp]:
        """Slot order ``(streams, n_src)`` of each stream that agrees with the first stream's."""
        return np.array([best_order(score, n_speech) for score in self.across], dtype=np.intp)

    def gains(self) -> Matrix:
        """Gains ``(streams, n_src)`` in the slots' own order; see :func:`mixture_gains`."""
        pairs = zip(self.gram, self.cross, strict=True)
        return np.stack([mixture_gains(gram, cross) for gram, cross in pairs])

    def peak_scale(self, gains: Matrix, limit: float = 0.98) -> float:
        """Factor ≤ 1 for all outputs alike, so that none of them clips.

        ``limit`` leaves room for what resampling adds between samples.
        """
        highest = float((self.peak * np.abs(gains)).max())
        return min(1.0, limit / highest) if highest > 0 else 1.0
