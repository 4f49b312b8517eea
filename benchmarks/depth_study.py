"""Depth by progressive training, end to end and by separate models, at equal epochs: one JSON.

    python -m benchmarks.depth_study --json_dir egs/wham/data/wav8k/min --exp_dir exp/depth

Every run is an experiment of its own under ``--exp_dir``; what is finished is kept, so the study
can be stopped and started again. Times are those of the process (CPU seconds, one thread).
"""

import argparse
import json
from pathlib import Path

import torch

from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.conf import conf_from_dict
from asteroid_latref.engine.experiment import quiet_lightning, train_experiment
from asteroid_latref.files import write_json

from .measuring import Clock, last_losses, measure
from .steps import step_records

EPOCHS = 24
BATCH, SEGMENT, RATE = 4, 1.0, 8000
SUDO = {
    "name": "IterSudoRmRf",
    "bn_chan": 32,
    "hid_chan": 96,
    "upsampling_depth": 4,
    "n_filters": 64,
    "kernel_size": 41,
    "stride": 20,
}
BLOOM = {
    "name": "BloomConvTasNet",
    "n_src": 1,
    "bn_chan": 48,
    "hid_chan": 96,
    "n_filters": 64,
    "kernel_size": 40,
    "stride": 20,
}


def runs(epochs):
    """Name -> (what it is, model section, progressive section or None)."""
    cold = {"warm_exits": False, "finetune_epochs": 0, "finetune_lr": 5e-4}
    tuned = {**cold, "finetune_epochs": epochs // 6}
    warm = {**cold, "warm_exits": True}
    two = {**SUDO, "n_blocks": 2, "n_sub_blocks": 2, "exits": "all"}
    four = {**SUDO, "n_blocks": 4, "n_sub_blocks": 1, "exits": "all"}
    table = {
        "sudo_end_to_end_4": ("end to end", {**SUDO, "n_sub_blocks": 4}, None),
        "sudo_progressive_2": ("progressive, 2 steps", two, cold),
        "sudo_progressive_4": ("progressive, 4 steps", four, cold),
        "bloom": ("BLOOM, 4 steps, then fine-tuned", {**BLOOM, "n_blocks": 4}, tuned),
    }
    for depth in (1, 2, 3):
        model = {**SUDO, "n_sub_blocks": depth}
        table[f"sudo_separate_{depth}"] = ("trained separately", model, None)
    table["bloom_end_to_end_4"] = ("end to end", {**BLOOM, "n_blocks": 4, "exits": "last"}, None)
    table["sudo_progressive_4_warm"] = ("progressive, 4 steps, exits copied", four, warm)
    table["bloom_separate_1"] = (
        "trained separately",
        {**BLOOM, "n_blocks": 1, "exits": "last"},
        None,
    )
    return table


def make_conf(model, progressive, json_dir, epochs, vary=False):
    """The configuration of one run; the decay is stretched to the length of a step."""
    speed, colour = (0.2, 6.0) if vary else (0.0, 0.0)
    n_steps = model["n_blocks"] if progressive else 1
    tune = progressive["finetune_epochs"] if progressive else 0
    raw = {
        "data": {
            "task": "enh_single",
            "sample_rate": RATE,
            "segment": SEGMENT * (1 + speed),
            "train_dir": str(json_dir / "tr"),
            "valid_dir": str(json_dir / "cv"),
        },
        "model": model,
        "optim": {
            "optimizer": "adam",
            "lr": 2e-3,
            "weight_decay": 0.0,
            "lr_divisor": 3.0,
            "lr_every": max(1, (epochs - tune) // n_steps * 2 // 5),
        },
        "training": {
            "epochs": epochs - tune,
            "batch_size": BATCH,
            "num_workers": 0,
            "seed": 0,
            "remix": True,
            "vary_speed": speed,
            "vary_colour": colour,
            "gradient_clip": 5.0,
            "accelerator": "cpu",
        },
    }
    if progressive:
        raw["progressive"] = progressive
    return conf_from_dict(raw)


def run(name, what, model, progressive, json_dir, exp_dir, epochs, vary):
    """Trains and measures one run; returns its record."""
    record_path = exp_dir / name / "record.json"
    if record_path.exists():
        return json.loads(record_path.read_text())
    conf = make_conf(model, progressive, json_dir, epochs, vary)
    with Clock(exp_dir / name / "seconds.json") as clock:
        train_experiment(conf, exp_dir / name, resume=True)
    folders = {"": exp_dir / name}
    if progressive and progressive["finetune_epochs"]:
        folders = {
            "before fine-tuning": exp_dir / name / f"step{model['n_blocks']}",
            "after fine-tuning": exp_dir / name,
        }
    test_set = WhamDataset(json_dir / "tt", "enh_single", RATE, segment=None)
    record = {
        "name": name,
        "what": what,
        "conf": {k: v for k, v in conf.as_dict().items() if k != "data"},
        "steps": step_records(conf, len(WhamDataset(json_dir / "tr", "enh_single", RATE))),
        "seconds": clock.total,
        "results": [
            dict(state=state, **measure(folder, test_set)) for state, folder in folders.items()
        ],
    }
    write_json(record_path, record)
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--json_dir", required=True, type=Path, help="manifests (recipe stage 2)")
    parser.add_argument("--exp_dir", required=True, type=Path, help="where the runs live")
    parser.add_argument("--out", default="docs/results/depth.json", type=Path)
    parser.add_argument("--epochs", default=EPOCHS, type=int, help="of every run, in all")
    parser.add_argument("--vary", action="store_true", help="vary speed and colour of sources")
    parser.add_argument("--only", default="", help="comma-separated names of runs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    chosen = [name for name in args.only.split(",") if name]
    records = []
    for name, (what, model, progressive) in runs(args.epochs).items():
        if chosen and name not in chosen:
            continue
        print(f"== {name}", flush=True)
        conf = (model, progressive, args.json_dir, args.exp_dir, args.epochs, args.vary)
        record = run(name, what, *conf)
        records.append({**record, "losses": last_losses(args.exp_dir / name)})
        write_json(args.out, study(records, args))
    print(f"written: {args.out}")


def study(records, args):
    """The whole JSON: circumstances and the runs so far."""
    corpus = json.loads((args.json_dir / "tr" / "corpus.json").read_text())
    return {
        "corpus": corpus.get("name", "unknown"),
        "task": "enh_single",
        "epochs": args.epochs,
        "batch_size": BATCH,
        "segment": SEGMENT,
        "varied": args.vary,
        "seed": 0,
        "torch": str(torch.__version__),
        "threads": 1,
        "runs": records,
    }


if __name__ == "__main__":
    main()
