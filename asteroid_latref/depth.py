"""Quality against cost over the exits of one model, and what it saves to store one for all."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .data.wham import WhamDataset
from .engine.stages import FINETUNE
from .engine.train import BEST_MODEL
from .errors import LatrefError, one_line_errors
from .evaluate import FINAL, evaluate, load_experiment
from .files import atomic_path, write_json
from .models import LatentRefinementModel
from .profile import profile_model

DEPTH, PICTURE = "depth.json", "quality_cost.png"
# They differ in lightness too, so the curves survive a grey print.
COLOURS = ("#1f5fa8", "#e08a1e", "#111111", "#4aa564", "#c04a86", "#8fb8de", "#8a8a8a")
Row = dict[str, Any]


def exit_rows(
    model: LatentRefinementModel, exits: Sequence[Mapping[str, Any]], repeats: int = 5
) -> list[Row]:
    """Cost beside quality, one row per exit.

    Args:
        model: with these exits.
        exits: ``exits`` of ``final_metrics.json``.
        repeats: timed runs on four seconds of sound; 0: no real-time factor.

    Returns:
        ``n_blocks``, ``parameters`` (of what is run at this exit), ``stored_parameters`` (of it and
        all earlier exits), ``macs_per_second`` (per second of sound), ``real_time_factor`` (time
        over duration), ``si_sdr`` and ``si_sdr_imp`` (dB).
    """
    points = [model.operating_point(row["n_blocks"]) for row in exits]
    costs = profile_model(model, seconds=4.0, repeats=repeats, points=points)
    return [
        {
            "n_blocks": row["n_blocks"],
            "parameters": cost["parameters"],
            "stored_parameters": _size(model.truncate(row["n_blocks"], exits=_exits(model))),
            "macs_per_second": 1e9 * cost["gmacs_per_second"],
            "real_time_factor": cost["real_time_factor"],
            "si_sdr": row["si_sdr"],
            "si_sdr_imp": row["si_sdr_imp"],
        }
        for row, cost in zip(exits, costs, strict=True)
    ]


def storage(model: LatentRefinementModel) -> Row:
    """Parameters of one scalable model against one separate model per exit (BLOOM-Net §3.3).

    Examples:
        >>> from asteroid_latref import BloomConvTasNet
        >>> storage(BloomConvTasNet())
        {'scalable': 1335186, 'separate': 3746736}
    """
    separate = sum(_size(model.truncate(k)) for k in model.exit_blocks)
    return {"scalable": _size(model), "separate": separate}


def quality_picture(path: str | os.PathLike[str], curves: Mapping[str, Sequence[Row]]) -> None:
    """Draws SI-SDRi against multiply-accumulates, a point per exit and a line per model, as a PNG.

    Args:
        path: the PNG to write.
        curves: label -> rows of :func:`exit_rows`; seven at most.
    """
    figure = Figure(figsize=(6.5, 3.4 + 0.2 * len(curves)), layout="constrained")
    axis = figure.subplots()
    for colour, (label, rows) in zip(COLOURS, curves.items(), strict=False):
        costs = [row["macs_per_second"] / 1e6 for row in rows]
        axis.plot(costs, [row["si_sdr_imp"] for row in rows], "o-", color=colour, label=label)
        for cost, row in zip(costs, rows, strict=True):
            place = {"textcoords": "offset points", "xytext": (4, -11), "fontsize": 8}
            axis.annotate(str(row["n_blocks"]), (cost, row["si_sdr_imp"]), **place)
    axis.set_xlabel("multiply-accumulates per second of sound (millions)")
    axis.set_ylabel("SI-SDRi (dB)")
    axis.set_title("quality against cost; the numbers are blocks", fontsize=9, loc="left")
    axis.grid(alpha=0.3)
    if len(curves) > 1:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=90)


def format_table(report: Mapping[str, Any]) -> str:
    """What :func:`report` found, as Markdown."""
    lines = []
    for label, rows in report["curves"].items():
        lines += [
            f"{label}:" if label else "",
            "| blocks | parameters | stored with earlier exits | GMAC/s | real-time factor"
            " | SI-SDRi (dB) |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows:
            factor = row["real_time_factor"]
            shown = "-" if factor is None else f"{factor:.4f}"
            lines.append(
                f"| {row['n_blocks']} | {row['parameters']:,} | {row['stored_parameters']:,}"
                f" | {row['macs_per_second'] / 1e9:.3f} | {shown}"
                f" | {row['si_sdr_imp']:.2f} |"
            )
        lines.append("")
    stored = report["storage"]
    share = stored["scalable"] / stored["separate"]
    lines.append(
        f"One scalable model: {stored['scalable']:,} parameters; a separate one per exit:"
        f" {stored['separate']:,} ({share:.0%} of them are stored)."
    )
    return "\n".join(lines).strip()


def report(exp_dir: Path, test_dir: Path | None = None, repeats: int = 5) -> Row:
    """Puts cost beside quality for an evaluated experiment; writes ``depth.json`` and a picture.

    Args:
        exp_dir: folder with ``best_model.pth`` and ``final_metrics.json``.
        test_dir: manifests of the test set, to measure a fine-tuned model as it was before, too.
        repeats: timed runs per exit.

    Raises:
        LatrefError: the experiment is not trained or not evaluated.
    """
    model, conf = load_experiment(exp_dir)
    if not (exp_dir / FINAL).is_file():
        raise LatrefError(f"{exp_dir / FINAL}: not there; evaluate first (stage 4)")
    exits = json.loads((exp_dir / FINAL).read_text())["exits"]
    curves = {"": exit_rows(model, exits, repeats)}
    if (exp_dir / FINETUNE).is_dir() and test_dir is not None:
        folder = exp_dir / f"step{model.n_blocks}"
        before = LatentRefinementModel.from_pretrained(str(folder / BEST_MODEL))
        task, rate = conf["data"]["task"], conf["data"]["sample_rate"]
        dataset = WhamDataset(test_dir, task, rate, segment=None)
        exits = evaluate(before, dataset, folder, n_examples=0)["exits"]
        curves = {
            "before fine-tuning": exit_rows(before, exits, repeats),
            "after fine-tuning": curves[""],
        }
    found = {"curves": curves, "storage": storage(model), "conf": conf}
    write_json(exp_dir / DEPTH, found)
    quality_picture(exp_dir / PICTURE, curves)
    return found


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``depth.py --exp_dir exp/bloom_convtasnet --test_dir DIR``: after ``eval.py``."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--exp_dir", required=True, type=Path, help="folder of the experiment")
    parser.add_argument("--test_dir", type=Path, help="manifests of the test set (stage 2)")
    args = parser.parse_args(argv)
    found = report(args.exp_dir, args.test_dir)
    print(f"\n{format_table(found)}\n\nwritten: {args.exp_dir / DEPTH}, {PICTURE}")
    return 0


def _exits(model: LatentRefinementModel) -> str:
    return str(model.config["exits"])


def _size(model: LatentRefinementModel) -> int:
    return sum(p.numel() for p in model.parameters())
