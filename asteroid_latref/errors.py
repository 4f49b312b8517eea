"""The one exception that is meant to be read by a person, and how a command says it."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Status = TypeVar("Status", bound=int | None)
INTERRUPTED = 130


class LatrefError(ValueError):
    """A mistake in what was given: one line that names the file or option and what to do.

    Commands print it as ``error: <message>`` and exit with status 2, without a traceback.
    """

    def __init__(self, message: str = "") -> None:
        # PyTorch raises a loader process's error again with that process's traceback as message.
        if message.startswith("Caught LatrefError"):
            message = message.rstrip().rpartition("LatrefError: ")[2]
        super().__init__(message)


def one_line_errors(main: Callable[P, Status]) -> Callable[P, Status | int]:
    """Makes ``main``, which returns an exit status, end a :class:`LatrefError` as one line and 2.

    Ctrl-C is one line and 130, as shells have it.

    Examples:
        >>> @one_line_errors
        ... def main() -> int:
        ...     raise LatrefError("talk.wav: no such file")
        >>> main()
        2
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> Status | int:
        try:
            return main(*args, **kwargs)
        except LatrefError as err:
            print(f"error: {err}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("error: interrupted; nothing half-written was kept", file=sys.stderr)
            return INTERRUPTED

    return run
