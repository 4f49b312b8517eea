"""Memory that a process frees and soon asks for again: kept, instead of returned every time."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's ``mallopt``, from its ``malloc.h``."""


def keep_freed_memory() -> bool:
    """Makes this process keep freed memory for its next tensors; for programs, not libraries.

    By default the C library returns every large tensor to the system when it is freed, and the
    system clears new memory page by page when it is touched: for sounds longer than a few seconds
    that takes longer than the network does. The process then holds on to its peak memory.

    Only Linux with glibc has this setting; elsewhere nothing happens.

    Returns:
        Whether it took effect.

    Examples:
        >>> keep_freed_memory() == sys.platform.startswith("linux")
        True
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
