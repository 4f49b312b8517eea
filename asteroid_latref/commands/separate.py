"""``latref separate``: recordings in, one file per source out."""

import argparse
import sys
from collections.abc import Iterator

import torch
from torch import nn

from ..errors import LatrefError
from ..longform.run import operate
from ..separate import FileSummary, SeparateOptions, separate_file, slots_of
from .common import MODEL_HELP, add_command, add_device, counts, load_model, pick_device, print_json
from .inputs import Job, claim, find_recordings

DOC = """Separate recordings of any length.
Writes NAME_s1.wav, NAME_s2.wav, NAME_noise.wav, whichever the model gives. Together they add up
to the recording, as far as scaling them allows."""

EXAMPLE = """  latref separate exp/demo/publish_dir talk.wav -o separated
  latref separate user/model recordings/ 'more/*.flac' --resample --n-blocks 1"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "separate", DOC, EXAMPLE, run)
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("files", metavar="FILE", nargs="+", help="files, folders or patterns")
    parser.add_argument("-o", "--out-dir", metavar="DIR", help="default: beside each recording")
    parser.add_argument("--n-blocks", type=int, metavar="N", help="blocks to run (default: all)")
    parser.add_argument(
        "--n-iters",
        type=counts,
        metavar="N[,N...]",
        help="iterations, of every block or of each (default: as trained; a gate decides itself)",
    )
    parser.add_argument(
        "--resample", action="store_true", help="convert other sample rates, and back"
    )
    parser.add_argument(
        "--channels",
        choices=["mix", "each"],
        help="average the channels or separate each (default: average two, refuse more)",
    )
    defaults = SeparateOptions()
    parser.add_argument(
        "--window",
        type=float,
        default=defaults.window,
        metavar="S",
        help="seconds per window, 0 for whole recordings (default: %(default)s)",
    )
    parser.add_argument(
        "--overlap",
        type=float,
        metavar="S",
        help="seconds that windows overlap at least (default: 4, or a quarter of short windows)",
    )
    parser.add_argument(
        "--batch", type=int, metavar="N", help="windows at a time (default: 1, on a GPU 8)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Separates every file that can be; 0 if all could, 1 if some, 2 if none."""
    options = SeparateOptions(
        n_blocks=args.n_blocks,
        n_iters=args.n_iters,
        window=args.window,
        overlap=args.overlap,
        batch=args.batch,
        resample=args.resample,
        channels=args.channels,
        overwrite=args.overwrite,
    )
    model = load_model(args.model, pick_device(args.device))
    operate(model, options.n_blocks, options.n_iters)  # before any file: it concerns all of them
    slots, _ = slots_of(model)
    done: list[FileSummary] = []
    failed: list[LatrefError] = []
    for result in _results(model, find_recordings(args.files, args.out_dir, slots), options):
        if isinstance(result, LatrefError):
            failed.append(result)
            print(f"error: {result}", file=sys.stderr)
            continue
        done.append(result)
        if not args.json:
            print(describe(result), flush=True)
    if args.json:
        print_json(
            {"files": [d.as_dict() for d in done], "errors": [str(error) for error in failed]}
        )
    return 0 if not failed else 1 if done else 2


def describe(result: FileSummary) -> str:
    """One line about one file."""
    if result.skipped:
        return f"{result.file}: skipped, {result.note}"
    parts = [f"{result.seconds:.1f} s in {result.elapsed:.1f} s"]
    parts.append(f"real-time factor {result.real_time_factor:.3f}")
    if result.mean_steps is not None:
        parts.append(f"{result.mean_steps:.2f} steps per window")
    if result.note:
        parts.append(result.note)
    return f"{result.file}: {', '.join(parts)} -> {' '.join(result.outputs)}"


def _results(
    model: nn.Module, jobs: Iterator[Job | LatrefError], options: SeparateOptions
) -> Iterator[FileSummary | LatrefError]:
    taken: dict = {}
    for job in jobs:
        if isinstance(job, LatrefError):
            yield job
            continue
        path, folder = job
        try:
            claim(job, taken)
            yield separate_file(model, path, folder, options, progress=True)
        except LatrefError as err:
            # What concerns the model or the folder does not name the recording by itself.
            named = str(err) if str(path) in str(err) else f"{path}: {err}"
            yield LatrefError(named)
        except (MemoryError, RuntimeError) as err:
            if not _out_of_memory(err):
                raise
            yield LatrefError(f"{path}: not enough memory; use a smaller --window or --batch")


def _out_of_memory(err: Exception) -> bool:
    return isinstance(err, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(err)
