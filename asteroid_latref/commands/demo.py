"""``latref demo``: three mixtures, what they are made of, and what a model hears in them."""

import argparse

import torch

from ..demo import METRICS, format_table, write_demo
from .common import MODEL_HELP, add_command, own_model, print_json

DOC = """Hear what a model does, at every exit.
Writes three test mixtures, their true sources, the estimates at every exit (or number of
iterations, and the gate's own choice), and a spectrogram picture of each. Needs no network."""

EXAMPLE = """  latref demo
  latref demo latref/enh-gated-8k -o heard"""

DEFAULT_MODEL = "latref/enh-scalable-8k"


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "demo", DOC, EXAMPLE, run)
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default=DEFAULT_MODEL,
        help=f"{MODEL_HELP} (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--out-dir", metavar="DIR", default="latref_demo", help="default: %(default)s"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo in DIR")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Writes the folder and prints a table."""
    model = own_model(args.model, torch.device("cpu"))
    figures = write_demo(model, args.model, args.out_dir, args.overwrite)
    if args.json:
        print_json(figures)
    else:
        print(f"{format_table(figures)}\n\nwritten: {args.out_dir}/*/ and {METRICS}")
    return 0
