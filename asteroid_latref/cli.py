"""``latref``: list, hear, separate, evaluate, profile, convert and upload models by command."""

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .commands import convert, demo, evaluate, models, profile, separate, upload
from .errors import one_line_errors
from .memory import keep_freed_memory

COMMANDS = (models, demo, separate, evaluate, profile, convert, upload)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``latref`` with all its commands."""
    parser = argparse.ArgumentParser(
        prog="latref",
        description="Use, measure and share the models of asteroid_latref.",
        epilog="latref COMMAND --help shows an example of each command.",
    )
    parser.add_argument("--version", action="version", version=f"asteroid_latref {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_to(commands)
    return parser


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 (part of a batch failed) or 2 (nothing done)."""
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    try:
        code: int = args.run(args)
    except BrokenPipeError:  # the reader of our output, `head` for one, has enough
        sys.stderr.close()
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
