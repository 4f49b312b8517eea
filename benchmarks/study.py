"""The study: what the papers claim, at equal optimizer steps, data and seeds, in one JSON.

    python -m benchmarks.study --json_dir egs/wham/data/wav8k/min --exp_dir exp/study

Every run is an experiment of its own in ``--exp_dir``; what is finished is kept and what was
interrupted goes on, so it can be stopped at any time and started again. Several processes may work
on the same folder, each on one thread: a run that one of them holds is left to it. What follows
``--`` replaces keys of the base configuration (``-- --n_mixtures 2000 --lr 1e-3``).
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

from asteroid_latref.engine.conf import load_conf
from asteroid_latref.engine.experiment import quiet_lightning
from asteroid_latref.engine.train import make_datasets
from asteroid_latref.errors import LatrefError, one_line_errors
from asteroid_latref.files import atomic_path, write_json

from .rival_models import build_trained
from .steps import step_seconds, steps_of
from .study_grid import GROUPS, SIZES, grid, load_sizes, select
from .study_runs import ITEMS, RECORD, BusyError, finish, measure_speed, read_json

ROOT = Path(__file__).parents[1]
CONF = ROOT / "egs/wham/local/conf/study.yml"
OUT = ROOT / "docs/results/study.json"


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json_dir", required=True, type=Path, help="manifests (recipe stage 2)")
    parser.add_argument("--exp_dir", required=True, type=Path, help="where the runs live")
    parser.add_argument("--only", default="", help="runs to do: names or patterns, by commas")
    parser.add_argument("--seeds", default="0", help="by commas; all of the first one come first")
    parser.add_argument("--steps", type=int, help="optimizer steps per run; default: the epochs")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, default=OUT, help="the joint JSON")
    parser.add_argument("--conf", type=Path, default=CONF, help="base configuration")
    parser.add_argument("--sizes", type=Path, default=SIZES, help="sizes of all the rest")
    parser.add_argument("--n_items", type=int, help="test mixtures; default: all")
    parser.add_argument("--list", action="store_true", help="list the runs, and stop")
    parser.add_argument("--collect", action="store_true", help="only write the joint JSON")
    parser.add_argument("--speed", action="store_true", help="time finished runs anew; alone, best")
    parser.add_argument("--cost", type=int, metavar="N", help="time N steps of each run, and stop")
    args, rest = parser.parse_known_args(argv)
    args.overrides = [word for word in rest if word != "--"]
    args.seeds = [int(seed) for seed in args.seeds.split(",")]
    args.only = [pattern for pattern in args.only.split(",") if pattern]
    return args


@one_line_errors
def main(argv=None):
    """Trains, measures and writes down what is missing of the study."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = parse(argv)
    torch.set_num_threads(1)
    quiet_lightning()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that it ends its helpers too
    if args.collect:
        collect(args)
        return 0
    base = load_base(args)
    epochs = n_epochs(args, base)
    grids = {seed: grid(base, load_sizes(args.sizes), epochs, seed) for seed in args.seeds}
    chosen = [
        (run, seed) for seed, runs in grids.items() for run in select(runs, args.only).values()
    ]
    if args.list or args.cost:
        for run, seed in chosen:
            print(cost_line(run, args.cost) if args.cost else f"{run.name}, {seed}: {run.what}")
        return 0
    if args.speed:
        for run, seed in chosen:
            measure_speed(run, args, seed)
    else:
        work(args, argv, chosen, grids)
    collect(args)
    return 0


def load_base(args):
    dirs = ["--train_dir", str(args.json_dir / "tr"), "--valid_dir", str(args.json_dir / "cv")]
    return load_conf(args.conf, [*dirs, *args.overrides])


def n_epochs(args, base):
    """Epochs of every run: those of the base, or as many as come nearest to ``--steps``."""
    if args.steps is None:
        return base.training.epochs
    per_epoch = len(make_datasets(base)[0]) // base.training.batch_size
    if per_epoch == 0:
        raise LatrefError("the training set is smaller than a batch; give a smaller --batch_size")
    epochs = max(1, round(args.steps / per_epoch))
    print(f"{epochs} epochs of {per_epoch} steps: {epochs * per_epoch} steps for every run")
    return epochs


def work(args, argv, chosen, grids):
    """Does the runs one by one, beside ``--jobs`` - 1 processes that do the same."""
    command = [sys.executable, "-m", "benchmarks.study", *argv, "--jobs", "1"]
    if "--" in argv:
        place = argv.index("--")
        command[3:] = [*argv[:place], "--jobs", "1", *argv[place:]]
    others = [subprocess.Popen(command, cwd=ROOT) for _ in range(args.jobs - 1)]
    left = []
    try:
        for run, seed in chosen:
            try:
                finish(run, grids[seed], args, seed)
            except BusyError:
                left.append(f"{run.name}, seed {seed}")
            else:
                collect(args, say=False)
        codes = [other.wait() for other in others]
    finally:
        for other in others:
            other.terminate()
    if left:
        print(f"left to other processes: {'; '.join(left)}")
    if any(codes):
        raise LatrefError("one of the processes failed; its message is above. Run this again")


def collect(args, say=True):
    """Writes all records there are as one JSON, and what gates did with every mixture beside it."""
    paths = [path for group in GROUPS for path in sorted(args.exp_dir.glob(f"{group}/*/{RECORD}"))]
    records = [read_json(path) for path in paths]
    if not records:
        raise LatrefError(f"{args.exp_dir}: holds no finished run of the study")
    order = list(grid(load_conf(args.conf), load_sizes(args.sizes), 100))
    places = {name: place for place, name in enumerate(order)}
    records.sort(key=lambda r: (places.get(r["name"], len(places)), r["name"], r["seed"]))
    write_json(args.out, {"runs": records})
    tables = [gate_items(path.parent) for path in paths if (path.parent / ITEMS).exists()]
    if tables:
        table = pd.concat(tables)
        table = table[table["seed"] == table["seed"].min()]  # more would be megabytes
        with atomic_path(args.out.with_name(f"{args.out.stem}_gate.csv")) as tmp:
            table.to_csv(tmp, index=False)
    if say:
        print(f"written: {args.out}, {len(records)} runs")


def gate_items(run_dir):
    """What a run of the gate's group did with every mixture."""
    record = read_json(run_dir / RECORD)
    table = pd.read_csv(run_dir / ITEMS)[["item", "input_snr", "n_steps", "si_sdr_imp"]]
    return table.assign(run=record["name"], seed=record["seed"])


def cost_line(run, repeats):
    """What one optimizer step takes on one thread, per step of the training and on average."""
    build = {"build": build_trained} if run.kind == "rival" else {}
    seconds = step_seconds(run.conf, repeats, **build)
    epochs = [step.epochs for step in steps_of(run.conf, **build)]
    mean = sum(s * e for s, e in zip(seconds, epochs, strict=True)) / sum(epochs)
    shown = ", ".join(f"{s:.3f}" for s in seconds)
    return f"{run.name:32} {mean:.3f} s per step (in each: {shown})"


if __name__ == "__main__":
    sys.exit(main())
