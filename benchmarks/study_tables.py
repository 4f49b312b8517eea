"""Tables and pictures of the study: ``python -m benchmarks.study_tables``.

Reads ``study.json``, ``study_gate.csv``, ``study_rivals.json`` and ``study_bundled.json``; writes
``study_*.inc`` beside them and ``study_*.png`` into ``docs/images``. Groups that have not been run
get no table but a line that says so.
"""

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd

from asteroid_latref.files import atomic_path

from . import study_pictures
from .study_cells import (
    COSTS,
    NOT_RUN,
    QUALITY,
    circumstances,
    costs,
    minutes,
    name_of,
    table,
)
from .study_data import BUNDLED, Study, front, label
from .table2 import END_TO_END

DOCS = Path(__file__).parents[1] / "docs"
MIB = 2**20
GAIN = "si_sdr_imp"


def iterations(study):
    """LIR Table 1: iterated and not."""
    titles = ["U-ConvBlocks", "iterations", "applications", *COSTS, "CPU time, min", QUALITY]
    lines = []
    for name, records in study.group("iterations").items():
        (row,) = study.of(name)
        model = records[0]["conf"]["model"]
        n_sub_blocks, n_iters = model["n_sub_blocks"], model["n_iters"]
        sizes = [n_sub_blocks, n_iters, n_sub_blocks * n_iters]
        cells = [*map(str, sizes), *costs(row), minutes(records), row.shown("si_sdr_imp")]
        lines.append(cells)
    return table(titles, lines)


def progressive(study):
    """LIR Table 2: block by block against end to end."""
    name = "iterations/" + "x".join(map(str, END_TO_END))
    runs = study.group("progressive") | ({name: study.runs[name]} if name in study.runs else {})
    if not study.group("progressive"):
        return NOT_RUN
    depth = max(row.n_blocks for name in runs for row in study.of(name))
    base = study.runs[name][0]["steps"][0]["saved_bytes"] if name in study.runs else None
    titles = ["blocks × sub-blocks × iterations", "optimizer steps", "parameters, all exits"]
    titles += ["saved for backward, MiB (each step)", "relative to 1×16", "CPU time, min"]
    titles += [f"SI-SDRi at exit {k + 1} (dB)" for k in range(depth)]
    lines = []
    for name, records in runs.items():
        steps = records[0]["steps"]
        saved = [step["saved_bytes"] for step in steps]
        rows = study.of(name)
        quality = ["", *[""] * (depth - 1)]
        for place, row in enumerate(rows):
            quality[depth - 1 if len(rows) == 1 else place] = row.shown("si_sdr_imp")
        cells = [
            name.split("/")[1].replace("x", "×") + (", end to end" if len(steps) == 1 else ""),
            " + ".join(str(step["optimizer_steps"]) for step in steps),
            f"{records[0]['results'][-1]['stored_parameters']:,}",
            ", ".join(f"{one / MIB:.1f}" for one in saved),
            "–" if base is None else f"{max(saved) / base:.2f}",
            minutes(records),
        ]
        lines.append(cells + quality)
    return table(titles, lines)


def gate(study):
    """The gate at several prices and fixed iterations."""
    titles = ["model", "mean steps", "inputs that take 0, 1, 2… steps, %", *COSTS[1:], QUALITY]
    titles += ["counts at random (dB)", "best counts (dB)"]
    lines = []
    for name, records in study.group("gate").items():
        (row,) = study.of(name)
        found = [run["gate"] for run in records]
        limit = 1 + max(int(n) for one in found for n in one["shares"])
        shares = [mean(one["shares"].get(str(n), 0) for one in found) for n in range(limit)]
        worth = ["–", "–"]
        if "curve" in found[0]:
            worth = [
                f"{mean(_at_random(one) for one in found):.2f}",
                f"{mean(one['curve']['oracle']['si_sdr_imp'] for one in found):.2f}",
            ]
        steps = f"{mean(one['mean_steps'] for one in found):.2f}"
        taken = " / ".join(f"{100 * share:.0f}" for share in shares)
        cells = [label(name), steps, taken, *costs(row)[1:], row.shown("si_sdr_imp")]
        lines.append(cells + worth)
    return table(titles, lines)


def _at_random(one):
    """What the same network gives when as many steps are dealt out without looking."""
    fixed = one["curve"]["fixed"]
    counts, quality = ([row[key] for row in fixed] for key in ("mean_steps", "si_sdr_imp"))
    return float(np.interp(one["mean_steps"], counts, quality))


def bloom(study):
    """BLOOM-Net's exits against models trained separately."""
    runs = study.group("bloom")
    if not runs:
        return NOT_RUN
    depth = max(row.n_blocks for name in runs for row in study.of(name))
    titles = ["training", "optimizer steps", "parameters stored", "CPU time, min"]
    titles += [f"SI-SDRi after {k + 1} (dB)" for k in range(depth)]
    lines = []
    for name, records in runs.items():
        for number, result in enumerate(records[0]["results"]):
            before = result["state"].startswith("before")
            steps = records[0]["steps"][:-1] if before else records[0]["steps"]
            quality = {r.n_blocks: r.shown("si_sdr_imp") for r in study.of(name, result["state"])}
            what = records[0]["what"] + (f", {result['state']}" if result["state"] else "")
            cells = [
                what,
                " + ".join(str(step["optimizer_steps"]) for step in steps),
                f"{result['stored_parameters']:,}",
                minutes(records) if number == len(records[0]["results"]) - 1 else "",
            ]
            lines.append(cells + [quality.get(k + 1, "") for k in range(depth)])
    return table(titles, lines)


def rivals(study, task):
    """What a person would pick instead, beside the best of ours at each cost."""
    others, ours = study.others(task), study.ours(task)
    if not others:
        return NOT_RUN
    titles = ["model", "optimizer steps here", *COSTS, QUALITY]
    titles.append("best of ours with at most its parameters, at the same steps")
    shown = [*study.bundled(task), *front(ours)]
    lines = [[name_of(row), f"{row.steps:,}", *costs(row), row.shown(GAIN), ""] for row in shown]
    for row in sorted(others, key=lambda row: row.mean(GAIN)):
        cells = [f"**{row.what}**", f"{row.steps:,}" if row.trained else "none"]
        lines.append([*cells, *costs(row), row.shown(GAIN), _against(row, ours)])
    return table(titles, lines)


def _against(row, ours):
    """The best of ours that is not larger, and by how much it is better."""
    size = row.mean("parameters")
    smaller = [one for one in ours if size and one.mean("parameters") <= size]
    if not smaller:
        return "–"
    best = max(smaller, key=lambda one: one.mean("si_sdr_imp"))
    more = best.mean("si_sdr_imp") - row.mean("si_sdr_imp")
    return f"{name_of(best)}: {more:+.2f} dB"


def kinds(study):
    """SI-SDRi per kind of noise, at the last exits."""
    shown = [r for r in study.rows if r.last and r.task == "enh_single" and r.state[:6] != "before"]
    found = sorted({key for row in shown for key in row.values if key.startswith("kind ")})
    if not found:
        return NOT_RUN
    groups = ("iterations", "gate", "rivals", "bloom", BUNDLED)
    shown = [row for row in shown if row.group in groups]
    lines = [[name_of(row) if row.ours else row.what, *map(row.shown, found)] for row in shown]
    return table(["model", *(key.removeprefix("kind ") for key in found)], lines)


def readme(study):
    """A few rows: ours at four costs, the bundled ones, what else there is, and both tasks."""
    titles = ["task", "model", "optimizer steps here", *COSTS, QUALITY]
    lines = []
    for task in ("enh_single", "sep_noisy"):
        rows = front(study.ours(task))
        chosen = sorted({round(i) for i in np.linspace(0, len(rows) - 1, min(4, len(rows)))})
        others = sorted(study.others(task), key=lambda row: row.mean("si_sdr_imp"))
        for row in [*others, *(rows[i] for i in chosen), *study.bundled(task)]:
            name = name_of(row) if row.ours else row.what
            steps = f"{row.steps:,}" if row.trained else "none"
            lines.append([task, name, steps, *costs(row), row.shown(GAIN)])
    return table(titles, lines)


def tables(study):
    """File name -> Markdown of every table."""
    return {
        "iterations": iterations(study),
        "progressive": progressive(study),
        "gate": gate(study),
        "bloom": bloom(study),
        "rivals": rivals(study, "enh_single"),
        "rivals_sep": rivals(study, "sep_noisy"),
        "kinds": kinds(study),
        "circumstances": circumstances(study),
        "readme": f"{readme(study)}\n\n{circumstances(study)}" if study.runs else NOT_RUN,
    }


def pictures(names):
    """File name -> Markdown that shows the pictures that there are."""
    captions = {
        study_pictures.QUALITY: "SI-SDRi against multiply-accumulates of every model",
        study_pictures.CURVE: "SI-SDRi against mean steps of the gates",
        study_pictures.SNR: "Steps and SI-SDRi against input SNR",
    }
    return {
        Path(name).stem.removeprefix("study_") + "_picture": f"![{caption}](images/{name})"
        if name in names
        else NOT_RUN
        for name, caption in captions.items()
    }


def write(study, out, images, gate_items=None):
    """Writes all tables into ``out`` and all pictures into ``images``."""
    shown = pictures(study_pictures.write(study, images, gate_items))
    for name, text in (tables(study) | shown).items():
        with atomic_path(out / f"study_{name}.inc") as tmp:
            tmp.write_text(text + "\n")


def main(argv=None):
    """Writes everything anew."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=DOCS / "results", help="where the JSON is")
    parser.add_argument("--images", type=Path, default=DOCS / "images")
    args = parser.parse_args(argv)
    study = Study.of_folder(args.results)
    items = args.results / "study_gate.csv"
    write(study, args.results, args.images, pd.read_csv(items) if items.exists() else None)
    print("\n\n".join(tables(study).values()))


if __name__ == "__main__":
    main()
