"""How every script here ends: 0, or one line `error: ...` and 2."""

import sys
from collections.abc import Callable

from asteroid_latref.errors import LatrefError


def command(main: Callable[[], None]) -> None:
    try:
        main()
    except LatrefError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("error: interrupted; run again to continue", file=sys.stderr)
        sys.exit(130)
