"""Which stretches of a long recording are given to the model, and in which batches."""

import math

# Window starts fall on this grid (samples). It is a multiple of every stride the models use
# (10 x 2^4 for Sudo rm -rf at depth 5, 8 for Conv-TasNet), so that a window sees the same
# frames as whole-file processing would.
GRID = 640

Span = tuple[int, int]


def plan_windows(total: int, window: int, overlap: int) -> list[Span]:
    """Cuts ``total`` samples into overlapping windows, evenly spread, none shorter than asked.

    The windows are spread evenly instead of leaving a short rest at the end: a short last window
    would be normalised by other statistics than its neighbours and be heard as a seam.

    Args:
        total: length of the recording in samples.
        window: length of a window in samples; 0 takes the recording whole.
        overlap: least overlap of two neighbours in samples, at most half a window.

    Returns:
        ``(start, stop)`` in samples, in order. One span covering all where ``total`` is at most one
        and a half windows. The last window may be up to one grid step longer.

    Raises:
        ValueError: ``overlap`` is negative or above half a window.

    Examples:
        >>> plan_windows(10_000, 16_000, 4_000)
        [(0, 10000)]
        >>> plan_windows(40_000, 16_000, 4_000)
        [(0, 16000), (7680, 23680), (15360, 31360), (23680, 40000)]
    """
    if window == 0 or total <= window * 3 // 2:
        return [(0, total)]
    if not 0 <= 2 * overlap <= window:
        raise ValueError(f"overlap={overlap}: must be between 0 and half a window ({window // 2})")
    hop = max(window - overlap - GRID, GRID)  # a step less than asked: starts are rounded to it
    count = 1 + math.ceil((total - window) / hop)
    last = (total - window) // GRID * GRID
    starts = [last * i // (count - 1) // GRID * GRID for i in range(count)]
    return [(s, total if s == last else s + window) for s in starts]


def batches(spans: list[Span], size: int) -> list[list[Span]]:
    """Groups neighbouring windows of the same length, ``size`` at most per group.

    Examples:
        >>> batches([(0, 4), (3, 7), (6, 11)], 8)
        [[(0, 4), (3, 7)], [(6, 11)]]
    """
    groups: list[list[Span]] = []
    for span in spans:
        fits = groups and len(groups[-1]) < size
        if fits and groups[-1][0][1] - groups[-1][0][0] == span[1] - span[0]:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups
