"""One run of the study: trained as far as it is not yet, measured, and written down."""

import fcntl
import json
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.conf import build_model
from asteroid_latref.engine.experiment import train_experiment
from asteroid_latref.engine.gated import JOINT, PRETRAINED, train_baselines
from asteroid_latref.engine.train import BEST_MODEL, make_datasets
from asteroid_latref.errors import LatrefError
from asteroid_latref.files import atomic_path, write_json
from asteroid_latref.gating import bias_curve, summarize
from asteroid_latref.gating import measure as measure_gate
from asteroid_latref.models import GatedSudoRmRf, LatentRefinementModel
from asteroid_latref.profile import profile_model

from .measuring import Clock, hardware, measure, real_time_factors, share, versions
from .rival_models import HOW_SUDO, SUDO, build_trained, load_rival, train_rival
from .steps import step_records
from .study_grid import folder

RECORD, CLOCK, ITEMS, LOCK = "record.json", "seconds.json", "gating.csv", "lock"


class BusyError(Exception):
    """Another process works on this run."""


def read_json(path):
    return json.loads(Path(path).read_text())


@contextmanager
def locked(run_dir, wait=False):
    """Holds a run for this process; the system lets go of it however the process ends.

    Raises:
        BusyError: another process holds it and ``wait`` is not set.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with open(run_dir / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BusyError(run_dir) from None
        yield


def finish(run, runs, args, seed, wait=False):
    """The record of a run, which is trained and measured first if there is none yet.

    Args:
        run: of the grid.
        runs: the whole grid, for the run whose first phase this one takes.
        args: ``exp_dir``, ``json_dir``, ``n_items``.
        seed: of the training.
        wait: for another process that holds the run.

    Raises:
        BusyError: another process works on it and ``wait`` is not set.
        LatrefError: it was made with other settings.
    """
    run_dir = folder(args.exp_dir, run.name, seed)
    with ExitStack() as stack:
        stack.enter_context(locked(run_dir, wait))
        if (run_dir / RECORD).exists():
            record = read_json(run_dir / RECORD)
            _check_same(record["conf"], without_paths(run.conf), run_dir)
            return record
        print(f"== {run.name}, seed {seed}: {run.what}", flush=True)
        if run.first_phase:
            finish(runs[run.first_phase], runs, args, seed, wait=True)
            first = folder(args.exp_dir, run.first_phase, seed)
            share(first / PRETRAINED, run_dir / PRETRAINED)
        with Clock(run_dir / CLOCK) as clock:
            train(run, run_dir)
        record = describe(run, seed) | {"seconds": clock.total}
        record |= results(run, run_dir, args)
        write_json(run_dir / RECORD, record)
        return record


def train(run, run_dir):
    """Trains what is missing; goes on where it was stopped."""
    if run.kind == "rival":
        train_rival(run.conf, run_dir)
    elif run.kind == "fixed":
        torch.manual_seed(run.conf.training.seed)
        fresh = build_model(run.conf)
        train_baselines(fresh, run.conf, make_datasets(run.conf), run_dir)
    else:
        train_experiment(run.conf, run_dir, resume=True)


def describe(run, seed):
    """What is known of a run before it is trained."""
    build = build_trained if run.kind == "rival" else build_model
    datasets = make_datasets(run.conf)
    found = {
        "name": run.name,
        "group": run.group,
        "what": run.what,
        "seed": seed,
        "task": run.conf.data.task,
        "data": datasets[0].get_infos()["dataset"],
        "conf": without_paths(run.conf),
        "steps": step_records(run.conf, len(datasets[0]), build),
        "versions": versions(),
        "hardware": hardware(),
    }
    if run.first_phase:
        found["first_phase"] = run.first_phase
    if run.kind == "rival" and run.conf.model["name"] == SUDO:
        found["how"] = HOW_SUDO
    return found


def results(run, run_dir, args):
    """Quality and cost of the trained model, in every state that was kept."""
    data = run.conf.data
    test_set = WhamDataset(args.json_dir / "tt", data.task, data.sample_rate, segment=None)
    found = []
    for state, place in _states(run, run_dir).items():
        model = _load(run, place)
        row = {"state": state, **measure(place, test_set, model, args.n_items)}
        for one, factor in zip(row["exits"], real_time_factors(model, test_set), strict=True):
            one["real_time_factor"] = factor
        found.append(row)
    record = {"n_items": found[-1]["n_items"], "results": found}
    if run.group == "gate":
        record["gate"] = _gate(model, test_set, run_dir, args.n_items)
        found[-1]["exits"][-1]["macs_per_second"] = record["gate"]["macs_per_second"]
    return record


def measure_speed(run, args, seed):
    """Writes the real-time factors of a finished run anew, for a time when nothing else runs."""
    run_dir = folder(args.exp_dir, run.name, seed)
    data = run.conf.data
    test_set = WhamDataset(args.json_dir / "tt", data.task, data.sample_rate, segment=None)
    with locked(run_dir, wait=True):
        if not (run_dir / RECORD).exists():
            return
        record = read_json(run_dir / RECORD)
        places = _states(run, run_dir).values()
        for row, place in zip(record["results"], places, strict=True):
            factors = real_time_factors(_load(run, place), test_set)
            for one, factor in zip(row["exits"], factors, strict=True):
                one["real_time_factor"] = factor
        write_json(run_dir / RECORD, record | {"hardware": hardware()})


def _states(run, run_dir):
    """The models of a run by state: before and after fine-tuning, else one."""
    if run.group == "gate":
        (*counts,) = run.conf.extra["gate"].baselines
        return {"": run_dir / (f"fixed{counts[0]}" if counts else ".") / JOINT}
    section = run.conf.extra.get("progressive")
    if section is None or not section.finetune_epochs:
        return {"": run_dir}
    before = run_dir / f"step{run.conf.model['n_blocks']}"
    return {"before fine-tuning": before, "after fine-tuning": run_dir}


def _load(run, place):
    if run.kind == "rival":
        return load_rival(run.conf, place)
    return LatentRefinementModel.from_pretrained(str(place / BEST_MODEL)).eval()


def _gate(model, test_set, run_dir, n_items):
    """Steps of every input, and for a gate what they would buy at every bias."""
    table = measure_gate(model, test_set, n_items)
    table["item"] = table["item"].map(lambda item: Path(item).name)
    with atomic_path(run_dir / ITEMS) as tmp:
        table.round(3).to_csv(tmp, index=False)
    found = summarize(table)
    found["macs_per_second"] = mean_macs(model, found["shares"])
    if isinstance(model, GatedSudoRmRf):
        found["curve"] = bias_curve(model, test_set, n_items)
    return found


def mean_macs(model, shares):
    """Multiply-accumulates per second of sound, over inputs that take steps like these."""
    if not isinstance(model, GatedSudoRmRf):
        return 1e9 * profile_model(model, repeats=0)[-1]["gmacs_per_second"]
    limit = sum(model.n_iters)
    rows = profile_model(model.ungated(), repeats=0)
    counts = np.array([1e9 * row["gmacs_per_second"] for row in rows])  # of 1, 2... iterations
    bias, model.gate_bias = model.gate_bias, float("inf")
    try:
        # No operating point: naming the iterations would leave the gate out.
        (open_,) = profile_model(model, repeats=0, points=[(0, ())])
    finally:
        model.gate_bias = bias
    asking = (1e9 * open_["gmacs_per_second"] - counts[-1]) / limit
    step = counts[1] - counts[0]
    return float(
        sum(
            share * (counts[0] + (n - 1) * step + min(n + 1, limit) * asking)
            for n, share in shares.items()
        )
    )


def without_paths(conf):
    """A configuration as plain values, without what names places on this machine."""
    plain = json.loads(json.dumps(conf.as_dict()))
    data = {k: v for k, v in plain["data"].items() if "/" not in str(v) and k[-4:] != "_dir"}
    return {**plain, "data": data}


def _check_same(before, now, run_dir):
    """Refuses a finished run of other settings; keys that only one has do not count."""
    for section, values in now.items():
        old = before.get(section, {})
        for key in values.keys() & old.keys():
            if old[key] != values[key]:
                raise LatrefError(
                    f"{run_dir}: is finished with {section}.{key}={old[key]!r}, now it is"
                    f" {values[key]!r}; give the old value or another --exp_dir"
                )
