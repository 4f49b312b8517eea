"""A study that nobody ran: records with made-up figures for every run of the grid."""

import json

import numpy as np

from asteroid_latref.engine.conf import load_conf
from asteroid_latref.engine.stages import split_epochs
from benchmarks.study import CONF
from benchmarks.study_grid import grid, load_sizes
from benchmarks.study_runs import without_paths

STEPS_PER_EPOCH = 50
KINDS = ("babble", "rain")


def make_records(seeds=(0, 1), epochs=40):
    """Records as `benchmarks.study` collects them; the same for the same arguments."""
    rng = np.random.default_rng(0)
    records = []
    for seed in seeds:
        for run in grid(load_conf(CONF), load_sizes(), epochs, seed).values():
            records.append(_record(run, seed, rng))
    return json.loads(json.dumps(records))


def make_untrained():
    """A record of something that came trained."""
    row = _exit(1, 8.0, np.random.default_rng(1)) | {"macs_per_second": None, "parameters": 0}
    result = {"state": "", "stored_parameters": 0, "exits": [row]}
    names = {"name": "rivals/noisereduce", "group": "rivals", "what": "noisereduce, some way"}
    return {**names, "task": "enh_single", "n_items": 30, "results": [result]}


def _record(run, seed, rng):
    model = run.conf.model
    blocks = model.get("n_blocks", 1) if run.kind != "rival" else 1
    alone = run.group not in ("progressive", "bloom") or "separate" in run.name
    depths = [blocks] if alone else list(range(1, blocks + 1))
    per_block = model.get("n_sub_blocks", 4) * (model.get("n_iters") or model.get("max_iters", 4))
    exits = [_exit(k, k * per_block, rng) for k in depths]
    tuned = "finetune_epochs" in str(run.conf.extra) and run.group == "bloom"
    states = ["before fine-tuning", "after fine-tuning"] if tuned else [""]
    record = {
        "name": run.name,
        "group": run.group,
        "what": run.what,
        "seed": seed,
        "task": run.conf.data.task,
        "data": "a corpus",
        "conf": without_paths(run.conf),
        "steps": [
            {
                "epochs": epochs,
                "optimizer_steps": epochs * STEPS_PER_EPOCH,
                "trained_parameters": 10,
                "saved_bytes": 2**20 * per_block,
            }
            for epochs in _epochs(run)
        ],
        "seconds": {"cpu": 100.0, "wall": 120.0},
        "versions": {"python": "3", "torch": "2"},
        "hardware": {"processor": "a processor", "threads": 1},
        "n_items": 30,
        "results": [{"state": s, "stored_parameters": 12345, "exits": exits} for s in states],
    }
    if run.group == "gate":
        record["gate"] = _gate(run, rng)
    return record


def _epochs(run):
    """Of every step: those of the engine, as far as the totals go."""
    section = run.conf.extra.get("progressive")
    if section is None:
        return [run.conf.training.epochs]
    steps = split_epochs(run.conf.training.epochs, run.conf.model["n_blocks"])
    return steps + [section.finetune_epochs] * bool(section.finetune_epochs)


def _exit(k, applications, rng):
    return {
        "n_blocks": k,
        "parameters": 10_000 + 1000 * k,
        "macs_per_second": 1e6 * (3 + applications),
        "si_sdr_imp": 6 + float(np.log(applications)) + float(rng.normal(scale=0.1)),
        "si_sdr_imp_error": 0.2,
        "real_time_factor": 0.001 * applications,
        "kinds": dict.fromkeys(KINDS, 7.0),
    }


def _gate(run, rng):
    if run.kind == "fixed":
        steps = run.conf.extra["gate"].baselines[0]
        return {"mean_steps": steps, "shares": {steps: 1.0}, "si_sdr_imp": 6 + 0.5 * steps}
    low = run.conf.extra["gate"].penalty
    steps = 4 - 5 * low
    rows = [{"mean_steps": n, "si_sdr_imp": 6 + 0.5 * n - low} for n in range(5)]
    return {
        "mean_steps": steps,
        "shares": {1: 1 - steps / 4, 4: steps / 4},
        "si_sdr_imp": 6 + 0.5 * steps + float(rng.normal(scale=0.05)),
        "curve": {"bias": rows, "fixed": rows, "oracle": {"mean_steps": 3, "si_sdr_imp": 9.0}},
    }
