"""How every script here ends: 0, or one line `error: ...` and 2."""

import sys
from collections.abc import Callable

from asteroid_latref.errors import one_line_errors


def command(main: Callable[[], None]) -> None:
    sys.exit(one_line_errors(main)())
