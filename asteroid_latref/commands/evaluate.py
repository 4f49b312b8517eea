"""``latref evaluate``: how well a model separates a test set, at every exit."""

import argparse

from ..data.wham import TASKS, WhamDataset
from ..errors import LatrefError
from ..evaluate import FINAL, evaluate, format_table
from .common import MODEL_HELP, add_command, add_device, own_model, pick_device, print_json

DOC = """Measure how well a model separates a test set.
SI-SDR and SI-SDRi of the speech sources at every exit;
writes all_metrics.csv, final_metrics.json and examples to the output folder."""

EXAMPLE = """  latref evaluate user/model data/wav8k/min/tt -o evaluated"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "evaluate", DOC, EXAMPLE, run)
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "json_dir", metavar="JSON_DIR", help="manifests of the test set (stage 2 of the recipe)"
    )
    parser.add_argument(
        "-o", "--out-dir", metavar="DIR", default="evaluated", help="default: %(default)s"
    )
    parser.add_argument(
        "--task", choices=list(TASKS), help="default: the one the model was trained for"
    )
    parser.add_argument(
        "--metrics", default="si_sdr", metavar="LIST", help="of si_sdr,sdr,sir,sar,stoi,pesq"
    )
    parser.add_argument("--n-items", type=int, metavar="N", help="stop after N mixtures")
    parser.add_argument(
        "--n-examples", type=int, default=3, metavar="N", help="sounds to keep (default: 3)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates and prints a table."""
    for name in ("n_items", "n_examples"):
        value = getattr(args, name)
        if value is not None and value < (name == "n_items"):
            raise LatrefError(f"--{name.replace('_', '-')} {value}: must be at least 1 (0)")
    model = own_model(args.model, pick_device(args.device))
    task = args.task or model.task
    if task is None:
        raise LatrefError(f"{args.model}: does not say its task; add --task ({', '.join(TASKS)})")
    dataset = WhamDataset(args.json_dir, task, int(model.sample_rate), segment=None)
    final = evaluate(
        model,
        dataset,
        args.out_dir,
        args.metrics.split(","),
        args.n_examples,
        args.n_items,
        str(pick_device(args.device)),
    )
    if args.json:
        print_json(final)
    else:
        print(f"{format_table(final)}\n\nwritten: {args.out_dir}/{FINAL} and more")
    return 0
