"""How well a model separates a test set, at every exit: tables, example sounds, pictures."""

import argparse
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from asteroid.metrics import ALL_METRICS, get_metrics
from tqdm import tqdm

from ._version import __version__
from .audio import write_audio
from .data.wham import WhamDataset, get_task
from .errors import LatrefError, one_line_errors
from .experiment import FINAL, HISTORY, load_experiment
from .files import atomic_path, write_json
from .losses import SlotPITLoss
from .models import LatentRefinementModel
from .models.serialization import plain
from .pictures import loss_picture, spectrogram_picture

ALL_ROWS = "all_metrics.csv"


def evaluate(
    model: LatentRefinementModel,
    dataset: WhamDataset,
    out_dir: str | Path,
    metrics: Sequence[str] = ("si_sdr",),
    n_examples: int = 3,
    n_items: int | None = None,
    device: str = "cpu",
    conf: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measures the speech sources of every exit on every item, and writes what was found.

    SI-SDR and its improvement over the mixture (SI-SDRi) are means over the speech sources in their
    best order; the noise output is not counted (LIR §3.1). Written to ``out_dir``:
    ``all_metrics.csv`` (a row per item and exit), ``final_metrics.json`` (means, and all that is
    needed to say what was measured on what) and ``examples/``.

    Args:
        model: the network; it is moved to ``device`` and put in eval mode.
        dataset: whole files (``segment=None``), of any number.
        out_dir: folder to write to.
        metrics: of Asteroid's: ``si_sdr``, ``sdr``, ``sir``, ``sar``, ``stoi``, ``pesq``.
        n_examples: items whose sounds and spectrograms are kept.
        n_items: stop after that many.
        device: as PyTorch writes it.
        conf: how the model was trained; goes into ``final_metrics.json``.

    Returns:
        What ``final_metrics.json`` holds.

    Raises:
        LatrefError: unknown metric, or a model that does not fit the task.
    """
    out_dir = Path(out_dir)
    metrics = _checked_metrics(metrics)
    count = len(dataset) if n_items is None else min(n_items, len(dataset))
    kept = {round(i) for i in np.linspace(0, count - 1, min(n_examples, count))}
    model = model.to(device).eval()
    rows: list[dict[str, Any]] = []
    seconds = 0.0
    for index in tqdm(range(count), desc="evaluation", unit="mixture"):
        mixture, targets = dataset[index]
        seconds += len(mixture) / dataset.sample_rate
        exits = separated(model, mixture, targets, dataset.n_speech)
        for n_blocks, est in zip(model.exit_blocks, exits, strict=True):
            where = {"item": str(dataset.path(index)), "n_blocks": n_blocks}
            rows.append(where | _metrics(mixture, targets, est, dataset, metrics))
        if index in kept:
            folder = out_dir / "examples" / f"ex_{index:04d}"
            _write_example(folder, dataset, mixture, targets, exits[-1], rows[-1])
    table = pd.DataFrame(rows)
    with atomic_path(out_dir / ALL_ROWS) as tmp:
        table.to_csv(tmp, index=False)
    final = {**_summary(model, table, metrics), "n_items": count, "minutes": seconds / 60}
    final.update(_circumstances(model, dataset, device, conf))
    write_json(out_dir / FINAL, final)
    return final


def separated(
    model: LatentRefinementModel, mixture: torch.Tensor, targets: torch.Tensor, n_speech: int
) -> list[torch.Tensor]:
    """Estimates ``(slots, time)`` of every exit, speech in the order of the targets.

    Args:
        model: in eval mode.
        mixture: ``(time,)``.
        targets: ``(slots, time)``.
        n_speech: speech slots among them.
    """
    device = next(model.parameters()).device
    with torch.inference_mode():
        exits = model.forward_exits(mixture[None].to(device))
        return [in_order(est[0].cpu(), targets, n_speech) for est in exits]


def in_order(est: torch.Tensor, targets: torch.Tensor, n_speech: int) -> torch.Tensor:
    """``est``, ``(slots, time)``, with its speech in the order of ``targets`` that fits best."""
    ordered: torch.Tensor = SlotPITLoss(n_speech)(est[None], targets[None], return_est=True)[1][0]
    return ordered


def at_mixture_level(est: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """``est``, ``(slots, time)``, each with the gain that explains most of ``mixture``.

    SI-SDR leaves the gain open, so a model's outputs have any.
    """
    energy = est.square().sum(-1, keepdim=True).clamp_min(1e-8)
    return est * (est * mixture).sum(-1, keepdim=True) / energy


def format_table(final: dict[str, Any]) -> str:
    """The exits of ``final_metrics.json`` as a Markdown table, under what was measured on what."""
    data, model = final["data"], final["model"]
    names = [key for key in final["exits"][0] if key not in ("n_blocks", "n_iters")]
    lines = [
        f"{model['name']}, {model['n_params']:,} parameters; {data['task']} at"
        f" {data['sample_rate']} Hz; {data['dataset']}, {data['json_dir']}:"
        f" {final['n_items']} mixtures, {final['minutes']:.1f} min",
        "",
        "| blocks | iterations | " + " | ".join(_title(name) for name in names) + " |",
        "|---" * (2 + len(names)) + "|",
    ]
    limit = "up to " if "max_iters" in model["args"] else ""  # a gate decides
    for row in final["exits"]:
        iterations = limit + ", ".join(str(n) for n in row["n_iters"])
        values = " | ".join(f"{row[name]:.2f}" for name in names)
        lines.append(f"| {row['n_blocks']} | {iterations} | {values} |")
    return "\n".join(lines)


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``eval.py --exp_dir exp/tag --test_dir data/wav8k/min/tt``: evaluates the best model."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--exp_dir", required=True, help="folder of the experiment (stage 3)")
    parser.add_argument("--test_dir", required=True, help="manifests of the test set (stage 2)")
    parser.add_argument("--metrics", default="si_sdr", help=f"of {','.join(ALL_METRICS)}, or all")
    parser.add_argument("--n_examples", type=int, default=3, help="sounds and pictures to keep")
    parser.add_argument("--n_items", type=int, default=None, help="stop after that many")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    exp_dir = Path(args.exp_dir)
    model, conf = load_experiment(exp_dir)
    task, rate = conf["data"]["task"], conf["data"]["sample_rate"]
    dataset = WhamDataset(args.test_dir, task, rate, segment=None)
    metrics = ALL_METRICS if args.metrics == "all" else args.metrics.split(",")
    final = evaluate(
        model, dataset, exp_dir, metrics, args.n_examples, args.n_items, args.device, conf
    )
    if (exp_dir / HISTORY).exists():
        loss_picture(exp_dir / "loss.png", exp_dir / HISTORY)
    print(f"\n{format_table(final)}\n\nwritten: {exp_dir / FINAL}, {ALL_ROWS}, examples/, loss.png")
    return 0


def _checked_metrics(metrics: Sequence[str]) -> list[str]:
    for name in metrics:
        if name not in ALL_METRICS:
            raise LatrefError(f"unknown metric {name!r}; choose from {', '.join(ALL_METRICS)}")
    return ["si_sdr", *(name for name in metrics if name != "si_sdr")]


def _metrics(
    mixture: torch.Tensor,
    targets: torch.Tensor,
    est: torch.Tensor,
    dataset: WhamDataset,
    metrics: list[str],
) -> dict[str, float]:
    n = dataset.n_speech
    if not targets[:n].any(dim=-1).all():
        # The metrics would answer with numbers that mean nothing.
        return dict.fromkeys(_figures(metrics), float("nan"))
    values = get_metrics(
        mixture.numpy()[None],
        targets[:n].numpy(),
        est[:n].numpy(),
        sample_rate=dataset.sample_rate,
        metrics_list=metrics,
    )
    for name in metrics:
        values[f"{name}_imp"] = values[name] - values[f"input_{name}"]
    return {key: float(value) for key, value in values.items()}


def _figures(metrics: list[str]) -> list[str]:
    return [c for name in metrics for c in (f"input_{name}", name, f"{name}_imp")]


def _summary(
    model: LatentRefinementModel, table: pd.DataFrame, metrics: list[str]
) -> dict[str, Any]:
    """Means over the items whose figures are finite; a silent target has none."""
    figures = _figures(metrics)
    finite = np.isfinite(table[figures]).all(axis=1)
    exits = []
    for n_blocks in model.exit_blocks:
        means = table[finite & (table["n_blocks"] == n_blocks)][figures].mean()
        point = {"n_blocks": n_blocks, "n_iters": list(model.n_iters[:n_blocks])}
        exits.append({**point, **{name: float(means[name]) for name in figures}})
    skipped = int(table[~finite]["item"].nunique())
    last = {name: exits[-1][name] for name in figures}
    return {**last, "exits": exits, "n_skipped": skipped}


def _circumstances(
    model: LatentRefinementModel,
    dataset: WhamDataset,
    device: str,
    conf: dict[str, Any] | None,
) -> dict[str, Any]:
    packages = ("torch", "asteroid", "asteroid-latref", "numpy")
    versions = {name: _version(name) for name in packages}
    return {
        "data": {
            "dataset": dataset.get_infos()["dataset"],
            "task": dataset.task,
            "sample_rate": dataset.sample_rate,
            "json_dir": str(dataset.json_dir),
        },
        "model": {
            "name": type(model).__name__,
            "args": plain(model.get_model_args()),
            "n_params": sum(p.numel() for p in model.parameters()),
        },
        "conf": conf,
        "versions": {"python": platform.python_version(), **versions},
        "device": device,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # used from its source folder
        return __version__ if package == "asteroid-latref" else "unknown"


def _write_example(
    folder: Path,
    dataset: WhamDataset,
    mixture: torch.Tensor,
    targets: torch.Tensor,
    est: torch.Tensor,
    row: dict[str, Any],
) -> None:
    """Sounds and spectrograms of one item, and its figures."""
    est = at_mixture_level(est, mixture)
    names = list(get_task(dataset.task).slots)[: len(est)]
    sounds = {"mixture": mixture}
    for slot, name in enumerate(names):
        sounds[name], sounds[f"{name}_est"] = targets[slot], est[slot]
    for name, wav in sounds.items():
        write_audio(folder / f"{name}.wav", wav.numpy(), dataset.sample_rate)
    title = f"{dataset.task}: SI-SDR {row['input_si_sdr']:.1f} dB in, {row['si_sdr']:.1f} dB out"
    spectrogram_picture(
        folder / "spectrogram.png",
        mixture.numpy(),
        targets[: len(names)].numpy(),
        est.numpy(),
        names,
        dataset.sample_rate,
        title,
    )
    write_json(folder / "metrics.json", row)


def _title(name: str) -> str:
    base = name.removeprefix("input_").removesuffix("_imp")
    label = base.upper().replace("SI_SDR", "SI-SDR")
    label += "i" if name.endswith("_imp") else " in" if name.startswith("input_") else " out"
    return label + (" (dB)" if base in ("si_sdr", "sdr", "sir", "sar") else "")
