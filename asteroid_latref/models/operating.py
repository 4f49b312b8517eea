"""Operating points: which blocks are run, and how often each of them."""

from collections.abc import Sequence

OperatingPoint = tuple[int, tuple[int, ...]]


def iterations(n_iters: int | Sequence[int], n_blocks: int, least: int = 1) -> tuple[int, ...]:
    """One iteration count per block.

    Args:
        n_iters: one count for every block, or one per block.
        n_blocks: number of blocks.
        least: smallest count allowed.

    Raises:
        ValueError: a count below ``least``, or not as many counts as blocks.

    Examples:
        >>> iterations(2, n_blocks=3)
        (2, 2, 2)
        >>> iterations([1, 4], n_blocks=2)
        (1, 4)
    """
    counts = (n_iters,) * n_blocks if isinstance(n_iters, int) else tuple(n_iters)
    if len(counts) != n_blocks:
        raise ValueError(f"n_iters={n_iters!r} has {len(counts)} entries for {n_blocks} block(s)")
    if any(not isinstance(n, int) or isinstance(n, bool) or n < least for n in counts):
        raise ValueError(f"n_iters={n_iters!r}: every count must be a whole number >= {least}")
    return counts


def operating_points(exit_blocks: Sequence[int], n_iters: Sequence[int]) -> list[OperatingPoint]:
    """Every ``(n_blocks, n_iters)`` a model offers, cheapest first at each exit.

    Fewer iterations mean the same cap on every block.

    Examples:
        >>> operating_points([1, 2], [2, 2])
        [(1, (1,)), (1, (2,)), (2, (1, 1)), (2, (2, 2))]
    """
    return [
        (k, tuple(min(cap, n) for n in n_iters[:k]))
        for k in exit_blocks
        for cap in range(1, max(n_iters[:k]) + 1)
    ]
