"""``latref profile``: what each operating point of a model costs."""

import argparse

from ..errors import LatrefError
from ..files import write_json
from ..profile import format_table, profile_model
from .common import MODEL_HELP, add_command, add_device, load_model, pick_device, print_json

DOC = """Tell what each operating point of a model costs.
Parameters, multiply-accumulates, real-time factor and peak memory."""

EXAMPLE = """  latref profile user/model --seconds 10"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "profile", DOC, EXAMPLE, run)
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--seconds", type=float, default=4.0, metavar="S", help="length of the input (default: 4)"
    )
    parser.add_argument(
        "--batch", type=int, default=1, metavar="N", help="examples at a time (default: 1)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, metavar="N", help="timed runs, 0 for none (default: 5)"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write the figures there, as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Profiles and prints a table."""
    model = load_model(args.model, pick_device(args.device))
    try:
        rows = profile_model(model, args.seconds, args.batch, args.repeats)
    except ValueError as err:
        raise LatrefError(f"{err}") from err
    if args.out:
        write_json(args.out, rows)
    if args.json:
        print_json(rows)
    else:
        print(format_table(rows))
    return 0
