"""``latref models``: the trained models that come with the package."""

import argparse

from ..catalog import as_markdown, describe_bundled, format_table
from .common import add_command, print_json

DOC = """List the trained models that come with the package.
Their task, size, operating points, SI-SDRi at every exit and training, from the model files."""

EXAMPLE = """  latref models
  latref models --json"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "models", DOC, EXAMPLE, run)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the list as JSON")
    form.add_argument("--markdown", action="store_true", help="print it as a Markdown table")


def run(args: argparse.Namespace) -> int:
    """Prints the list."""
    rows = describe_bundled()
    if args.json:
        print_json(rows)
    elif args.markdown:
        print(as_markdown(rows), end="")
    else:
        print(format_table(rows))
    return 0
