"""Table and picture of the depth study: ``python -m benchmarks.depth_tables [FILE.json]``."""

import json
import sys
from pathlib import Path

from asteroid_latref.depth import quality_picture
from asteroid_latref.files import atomic_path

FAMILIES = {"IterSudoRmRf": "Sudo rm -rf", "BloomConvTasNet": "Conv-TasNet"}


def as_markdown(study):
    """One line per trained model (fine-tuned ones have two), one column per depth."""
    deepest = max(row["sub_blocks"] for run, state in _states(study) for row in state["exits"])
    titles = [
        "blocks of",
        "training",
        "optimizer steps",
        "training loss at the end (each step), dB",
        *(f"SI-SDRi after {depth}" for depth in range(1, deepest + 1)),
        "parameters, all exits",
        "saved for backward, MiB (each step)",
        "CPU time (wall), s",
    ]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    lines += [_line(run, state, deepest) for run, state in _states(study)]
    varied = ", speed and colour of the sources varied" if study["varied"] else ""
    first = study["runs"][0]["results"][0]
    lines += [
        "",
        f"{study['task']} on {study['corpus']} at 8 kHz, {first['n_items']} test mixtures of voices"
        f" not heard in training; SI-SDRi in dB, mean; {study['epochs']} epochs for every model,"
        f" fine-tuning included; batch {study['batch_size']}, {study['segment']:g} s{varied},"
        f" seed {study['seed']}, one CPU thread, PyTorch {study['torch']}.",
    ]
    return "\n".join(lines) + "\n"


def _states(study):
    return [(run, state) for run in study["runs"] for state in run["results"]]


def _line(run, state, deepest):
    quality = {row["sub_blocks"]: f"{row['si_sdr_imp']:.2f}" for row in state["exits"]}
    before = state["state"].startswith("before")
    steps = run["steps"][:-1] if before else run["steps"]
    depth = max(quality)
    losses = list(run["losses"])
    if len(run["steps"]) > run["conf"]["model"].get("n_blocks", 1):
        losses[-1] /= len(state["exits"])  # fine-tuning's is a sum
    label = run["what"].split(", then")[0]
    if label == "trained separately":
        label += f", depth {depth}"
    if state["state"]:
        label += f", {state['state']}"
    cells = [
        FAMILIES[run["conf"]["model"]["name"]],
        label,
        " + ".join(str(step["optimizer_steps"]) for step in steps),
        ", ".join(f"{loss:.2f}" for loss, _ in zip(losses, steps, strict=False)),
        *(quality.get(d, "") for d in range(1, deepest + 1)),
        f"{state['stored_parameters']:,}",
        ", ".join(f"{step['saved_bytes'] / 2**20:.1f}" for step in steps),
        "" if before else f"{run['seconds']['cpu']:.0f} ({run['seconds']['wall']:.0f})",
    ]
    return "| " + " | ".join(cells) + " |"


def curves(study):
    """Label -> exits, for the picture; models trained separately and end to end make one curve."""
    found = {}
    for run, state in _states(study):
        family = FAMILIES[run["conf"]["model"]["name"]]
        alone = len(state["exits"]) == 1
        label = "one model per depth" if alone else run["what"].split(", then")[0]
        label = ", ".join(part for part in (family, label, state["state"]) if part)
        rows = [{**row, "n_blocks": row["sub_blocks"]} for row in state["exits"]]
        found.setdefault(label, []).extend(rows)
    return {k: sorted(rows, key=lambda row: row["n_blocks"]) for k, rows in found.items()}


if __name__ == "__main__":
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/results/depth.json")
    study = json.loads(source.read_text())
    table = as_markdown(study)
    with atomic_path(source.with_suffix(".inc")) as tmp:
        tmp.write_text(table)
    quality_picture(source.parent.parent / "images" / f"{source.stem}.png", curves(study))
    print(table)
