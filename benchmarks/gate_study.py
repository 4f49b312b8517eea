"""The gate at four prices against fixed iterations, at equal epochs: JSON, CSV, table, pictures.

    python -m benchmarks.gate_study --json_dir egs/wham/data/wav8k/min --exp_dir exp/gate

The configuration is the recipe's ``demo_gated.yml``, smaller by half and on chunks of one second,
with its price replaced. All prices share the first phase and the baselines. ``unfitted`` is a gate
that starts alike for every input, to show what the start is for. What is finished is kept, so the
study can be stopped and started again; ``--only 0.05`` trains one run, ``--only fixed3`` one
baseline, for running them side by side once the first has finished the first phase.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.conf import build_model, load_conf
from asteroid_latref.engine.experiment import quiet_lightning, train_experiment
from asteroid_latref.engine.gated import train_baselines
from asteroid_latref.engine.train import make_datasets
from asteroid_latref.files import atomic_path, write_json
from asteroid_latref.gating import bias_curve, format_table, measure, summarize
from asteroid_latref.gating_pictures import curve_picture, snr_picture
from asteroid_latref.longform.windows import plan_windows
from asteroid_latref.models import LatentRefinementModel
from asteroid_latref.separate import SeparateOptions, separate_array

from .measuring import share

CONF = Path(__file__).parents[1] / "egs/wham/local/conf/demo_gated.yml"
SMALLER = "--segment 1.2 --bn_chan 32 --hid_chan 96 --n_filters 64 --gate_kernel 400"
PENALTIES = (0.05, 0.1, 0.2, 0.6)
RUNS = {str(p): {"penalty": p} for p in PENALTIES}
RUNS["unfitted"] = {"penalty": 0.2, "start_items": 0, "start_margin": 2.0, "gate_lr": 2e-4}
FIXED = (3, 4)


def train(args):
    """One experiment per run, all with the first one's first phase, and the baselines."""
    dirs = ["--train_dir", str(args.json_dir / "tr"), "--valid_dir", str(args.json_dir / "cv")]
    conf = load_conf(CONF, [*SMALLER.split(), *dirs])
    first = args.exp_dir / f"penalty{PENALTIES[0]}"
    for name, changes in RUNS.items():
        exp_dir = args.exp_dir / f"penalty{name}"
        if args.only not in ("", name):
            continue
        share(first / "pretrained", exp_dir / "pretrained")
        gate = replace(conf.extra["gate"], baselines=[], **changes)
        train_experiment(replace(conf, extra={"gate": gate}), exp_dir, resume=True)
    for n_iters in FIXED:
        if args.only not in ("", f"fixed{n_iters}"):
            continue
        exp_dir = args.exp_dir / "baselines"
        share(first / "pretrained", exp_dir / "pretrained")
        torch.manual_seed(conf.training.seed)
        fresh = build_model(conf)
        one = replace(conf, extra={"gate": replace(conf.extra["gate"], baselines=[n_iters])})
        train_baselines(fresh, one, make_datasets(conf), exp_dir)
    return conf


def load(args):
    """The models by name, gated first."""
    paths = {f"gated, {p} dB": args.exp_dir / f"penalty{p}/joint" for p in PENALTIES}
    paths["gated, 0.2 dB, unfitted"] = args.exp_dir / "penaltyunfitted/joint"
    for n in FIXED:
        paths[f"fixed {n}"] = args.exp_dir / f"baselines/fixed{n}/joint"
    return {
        name: LatentRefinementModel.from_pretrained(str(path / "best_model.pth"))
        for name, path in paths.items()
    }


def evaluate(args, conf):
    """Measures all models on the test set and writes everything."""
    data = conf.data
    test_set = WhamDataset(args.json_dir / "tt", data.task, data.sample_rate, segment=None)
    models = load(args)
    tables = {name: measure(model, test_set) for name, model in models.items()}
    table = pd.concat([t.assign(model=name) for name, t in tables.items()], ignore_index=True)
    table["item"] = table["item"].map(lambda item: Path(item).name)
    summaries = {name: summarize(one) for name, one in tables.items()}
    curves = {n: bias_curve(m, test_set) for n, m in models.items() if n.startswith("gated")}
    corpus = json.loads((args.json_dir / "tr" / "corpus.json").read_text())
    histories = {
        name: pd.read_csv(args.exp_dir / f"penalty{name}/joint/history.csv").to_dict("list")
        for name in RUNS
    }
    record = {
        "corpus": corpus.get("name", "unknown"),
        "n_items": len(test_set),
        "conf": {k: v for k, v in conf.as_dict().items() if k != "data"},
        "task": data.task,
        "torch": str(torch.__version__),
        "models": summaries,
        "curves": curves,
        "history": histories,
        "long_file": long_file({n: m for n, m in models.items() if n in curves}, test_set),
    }
    write_json(args.out / "gate.json", record)
    with atomic_path(args.out / "gate.csv") as tmp:
        table.round(3).to_csv(tmp, index=False)
    with atomic_path(args.out / "gate.inc") as tmp:
        tmp.write_text(format_table(summaries) + "\n")
    with atomic_path(args.out / "gate_kinds.inc") as tmp:
        tmp.write_text(kinds_table(table) + "\n")
    with atomic_path(args.out / "gate_worth.inc") as tmp:
        tmp.write_text(worth_table(summaries, curves) + "\n")
    with atomic_path(args.out / "gate_long.inc") as tmp:
        tmp.write_text(long_table(record["long_file"]) + "\n")
    shown = [f"gated, {p} dB" for p in PENALTIES[2:]] + [f"fixed {n}" for n in FIXED]
    chosen = table[table["model"].isin(shown)]
    snr_picture(args.images / "gate_by_snr.png", chosen)
    rows = {name: curve["bias"] for name, curve in curves.items()}
    curve_picture(args.images / "gate_curve.png", summaries, rows)
    print(format_table(summaries))


def kinds_table(table):
    """Mean steps and SI-SDRi by kind of noise, which the open corpus has in its file names."""
    kinds = table["item"].str.removesuffix(".wav").str.split("_", n=3).str[3]
    lines = ["| model | " + " | ".join(sorted(kinds.unique())) + " |"]
    lines.append("|---" * (1 + kinds.nunique()) + "|")
    for name in table["model"].unique():
        rows = table[table["model"] == name]
        means = rows.groupby(kinds[rows.index])[["n_steps", "si_sdr_imp"]].mean().sort_index()
        cells = [f"{m.n_steps:.2f} steps, {m.si_sdr_imp:.2f} dB" for m in means.itertuples()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def worth_table(summaries, curves):
    """What telling inputs apart is worth: the gate against its own network, counts at random."""
    lines = [
        "| model | mean steps | SI-SDRi (dB) | counts at random (dB) | best counts (dB) |",
        "|---" * 5 + "|",
    ]
    for name, curve in curves.items():
        steps, quality = summaries[name]["mean_steps"], summaries[name]["si_sdr_imp"]
        counts = [one["mean_steps"] for one in curve["fixed"]]
        random = float(np.interp(steps, counts, [one["si_sdr_imp"] for one in curve["fixed"]]))
        best = curve["oracle"]["si_sdr_imp"]
        lines.append(f"| {name} | {steps:.2f} | {quality:.2f} | {random:.2f} | {best:.2f} |")
    return "\n".join(lines)


def long_table(rows):
    """Steps per minute as a Markdown table."""
    parts = list(next(iter(rows.values())))
    lines = ["| model | " + " | ".join(parts) + " |", "|---" * (1 + len(parts)) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[part]:.2f}" for part in parts) + " |")
    return "\n".join(lines)


def long_file(models, test_set, minute=60):
    """Mean steps per minute of one recording: speech almost alone, then in noise, then noise alone.

    The recording goes through the long-file path; a window counts for the minute its middle is in.
    """
    rate = test_set.sample_rate
    speech, noise = (
        np.concatenate([test_set[i][1][slot].numpy() for i in range(len(test_set))])
        for slot in (0, 1)
    )
    size = minute * rate
    speech, noise = (np.resize(x, 3 * size).reshape(3, size) for x in (speech, noise))
    parts = {
        "speech, noise 20 dB lower": speech[0] + 0.1 * noise[0],
        "speech in noise": speech[1] + noise[1],
        "noise": noise[2],
    }
    wav = np.concatenate(list(parts.values())).astype(np.float32)
    options = SeparateOptions(window=4.0, overlap=1.0)
    spans = plan_windows(len(wav), 4 * rate, rate)
    rows = {}
    for name, model in models.items():
        _, steps = separate_array(model, wav, options)
        minutes = [[] for _ in parts]
        for (a, b), window in zip(spans, steps, strict=True):
            minutes[(a + b) // 2 // size].append(window[0])
        rows[name] = {part: float(np.mean(m)) for part, m in zip(parts, minutes, strict=True)}
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--json_dir", required=True, type=Path, help="manifests (recipe stage 2)")
    parser.add_argument("--exp_dir", required=True, type=Path, help="where the runs live")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", default="", help="train this price or baseline, and stop")
    args = parser.parse_args()
    torch.set_num_threads(1)
    quiet_lightning()
    conf = train(args)
    if not args.only:
        evaluate(args, conf)


if __name__ == "__main__":
    main()
