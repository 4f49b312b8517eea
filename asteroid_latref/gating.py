"""What a gate does with a test set: steps and quality of every input, beside fixed iterations."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from .data.wham import WhamDataset
from .errors import LatrefError, one_line_errors
from .evaluate import load_experiment
from .files import atomic_path, write_json
from .gating_pictures import curve_picture, snr_picture
from .losses import SlotPITLoss
from .models import GatedSudoRmRf, LatentRefinementModel

ROWS, SUMMARY, BY_SNR, CURVE = "gating.csv", "gating.json", "gating_by_snr.png", "gating_curve.png"
BIASES = tuple(float(b) for b in np.linspace(-6, 6, 49))


def measure(
    model: LatentRefinementModel, dataset: WhamDataset, n_items: int | None = None
) -> pd.DataFrame:
    """Steps and quality of every item.

    Args:
        model: gated, or of fixed iterations.
        dataset: whole files (``segment=None``).
        n_items: stop after that many.

    Returns:
        One row per item: ``item``, ``seconds``, ``input_snr`` (dB, see :func:`input_snr`),
        ``n_steps`` (block applications), ``si_sdr`` and ``si_sdr_imp`` (dB, means over the speech
        sources in their best order).
    """
    model = model.eval()
    rows = []
    count = len(dataset) if n_items is None else min(n_items, len(dataset))
    for index in tqdm(range(count), desc="gating", unit="mixture"):
        mixture, targets = dataset[index]
        speech = targets[: dataset.n_speech]
        with torch.inference_mode():
            if isinstance(model, GatedSudoRmRf):
                est, steps = model.separate_with_steps(mixture)
                n_steps = int(steps)
            else:
                est, n_steps = model(mixture), sum(model.n_iters)
        before, after = si_sdr(mixture.expand_as(speech), speech), si_sdr(est, speech)
        rows.append(
            {
                "item": str(dataset.path(index)),
                "seconds": len(mixture) / dataset.sample_rate,
                "input_snr": input_snr(targets, dataset.n_speech),
                "n_steps": n_steps,
                "si_sdr": after,
                "si_sdr_imp": after - before,
            }
        )
    return pd.DataFrame(rows)


def input_snr(targets: Tensor, n_speech: int) -> float:
    """Energy of all speech over that of all noise, in dB; NaN for tasks without noise.

    Args:
        targets: ``(slots, time)``, speech first.
        n_speech: speech slots among them.

    Examples:
        >>> round(input_snr(torch.tensor([[10.0, -10.0], [1.0, 1.0]]), n_speech=1), 3)
        20.0
    """
    if len(targets) == n_speech:
        return float("nan")
    speech, noise = targets[:n_speech].sum(0), targets[n_speech:].sum(0)
    return float(10 * torch.log10(speech.square().sum() / noise.square().sum()))


def si_sdr(est: Tensor, speech: Tensor) -> float:
    """Mean SI-SDR in dB over the speech sources ``(n_speech, time)``, in their best order."""
    n = len(speech)
    return -float(SlotPITLoss(n)(est[None, :n].cpu(), speech[None]))


def summarize(table: pd.DataFrame) -> dict[str, Any]:
    """Means over the items, and the share of items per step count.

    Examples:
        >>> table = pd.DataFrame({"n_steps": [4, 4, 2], "si_sdr_imp": [3.0, 5.0, 7.0]})
        >>> summarize(table)["shares"]
        {2: 0.3333, 4: 0.6667}
    """
    shares = table["n_steps"].value_counts(normalize=True).sort_index()
    finite = table[np.isfinite(table["si_sdr_imp"])]
    return {
        "n_items": len(table),
        "n_skipped": len(table) - len(finite),
        "si_sdr_imp": float(finite["si_sdr_imp"].mean()),
        "mean_steps": float(table["n_steps"].mean()),
        "shares": {int(n): round(float(share), 4) for n, share in shares.items()},
    }


@torch.inference_mode()
def trajectory(
    model: GatedSudoRmRf, mixture: Tensor, speech: Tensor
) -> tuple[list[float], list[float]]:
    """What the gate sees and what it decides on, had it let every step happen.

    Args:
        model: in eval mode.
        mixture: ``(time,)``.
        speech: ``(n_speech, time)``.

    Returns:
        The gate's margin before each block application, and the SI-SDR in dB after none, one, …,
        all of them.
    """
    tf_rep = model.forward_encoder(mixture[None, None])
    latent = model.masker.bottleneck(tf_rep)
    margins, quality = [], []

    def quality_now() -> float:
        masks = model.masker.masks(model.n_blocks, latent, tf_rep.shape[-1])
        est = model.forward_decoder(model.apply_masks(tf_rep, masks))
        return si_sdr(est[0, :, : mixture.shape[-1]], speech)

    quality.append(quality_now())
    for block, limit in zip(model.masker.blocks, model.n_iters, strict=True):
        for _ in range(limit):
            margins.append(float(model.masker.gate.margin(latent)))
            latent = block(latent)
            quality.append(quality_now())
    return margins, quality


def bias_curve(
    model: GatedSudoRmRf,
    dataset: WhamDataset,
    n_items: int | None = None,
    biases: Sequence[float] = BIASES,
) -> dict[str, Any]:
    """Quality against steps for every value of ``gate_bias``, from one pass over the data.

    Returns:
        ``bias``: rows of ``gate_bias`` (added to the model's own), ``mean_steps`` and
        ``si_sdr_imp``; ``fixed``: the same network stopped after 0, 1, … steps for every input;
        ``oracle``: each input stopped where it is best, which no gate can know.
    """
    model = model.eval()
    count = len(dataset) if n_items is None else min(n_items, len(dataset))
    margins, gains = [], []
    for index in tqdm(range(count), desc="curve", unit="mixture"):
        mixture, targets = dataset[index]
        speech = targets[: dataset.n_speech]
        one_margins, quality = trajectory(model, mixture, speech)
        margins.append(one_margins)
        gains.append(np.array(quality) - si_sdr(mixture.expand_as(speech), speech))
    seen, gain = np.array(margins), np.array(gains)  # (items, steps), (items, steps + 1)
    usable = np.isfinite(gain).all(1)
    seen, gain = seen[usable], gain[usable]
    rows = []
    for bias in biases:
        stops = np.concatenate([seen + bias < 0, np.ones((len(seen), 1), bool)], axis=1)
        rows.append({"gate_bias": bias, **_at(gain, stops.argmax(1))})
    fixed = [_at(gain, np.full(len(gain), n)) for n in range(gain.shape[1])]
    return {"bias": rows, "fixed": fixed, "oracle": _at(gain, gain.argmax(1))}


def _at(gain: np.ndarray, steps: np.ndarray) -> dict[str, float]:
    chosen = gain[np.arange(len(gain)), steps]
    return {"mean_steps": float(steps.mean()), "si_sdr_imp": float(chosen.mean())}


def report(
    models: Mapping[str, LatentRefinementModel],
    dataset: WhamDataset,
    out_dir: str | Path,
    n_items: int | None = None,
) -> dict[str, Any]:
    """Measures models on one test set and writes the table, the summary and the pictures.

    Written to ``out_dir``: ``gating.csv`` (a row per model and item), ``gating.json``,
    ``gating_by_snr.png`` (LIR Fig. 5) and ``gating_curve.png``.

    Args:
        models: by the name they get in the tables; the first is the gated one.
        dataset: whole files (``segment=None``).
        out_dir: folder to write to.
        n_items: stop after that many.

    Returns:
        What ``gating.json`` holds.
    """
    out_dir = Path(out_dir)
    tables = [measure(model, dataset, n_items).assign(model=name) for name, model in models.items()]
    table = pd.concat(tables, ignore_index=True)
    with atomic_path(out_dir / ROWS) as tmp:
        table.to_csv(tmp, index=False)
    summary: dict[str, Any] = {
        "data": str(dataset.json_dir),
        "task": dataset.task,
        "models": {name: summarize(one) for name, one in zip(models, tables, strict=True)},
    }
    if table["input_snr"].notna().any():
        snr_picture(out_dir / BY_SNR, table)
    gated = next(iter(models.values()))
    if isinstance(gated, GatedSudoRmRf):
        summary["curve"] = bias_curve(gated, dataset, n_items)
        curve_picture(out_dir / CURVE, summary["models"], {"gate": summary["curve"]["bias"]})
    write_json(out_dir / SUMMARY, summary)
    return summary


def format_table(models: Mapping[str, Mapping[str, Any]]) -> str:
    """The summaries of several models as a Markdown table."""
    counts = sorted({n for one in models.values() for n in one["shares"]}, key=int)
    lines = [
        "| model | mean steps | SI-SDRi (dB) | " + " | ".join(f"{n} steps" for n in counts) + " |",
        "|---" * (3 + len(counts)) + "|",
    ]
    for name, one in models.items():
        shares = " | ".join(f"{100 * one['shares'].get(n, 0):.0f} %" for n in counts)
        row = f"| {name} | {one['mean_steps']:.2f} | {one['si_sdr_imp']:.2f} | {shares} |"
        lines.append(row)
    return "\n".join(lines)


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``gating.py --exp_dir exp/gated --test_dir data/wav8k/min/tt``: gated against fixed."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--exp_dir", required=True, help="folder of a gated experiment (stage 3)")
    parser.add_argument("--test_dir", required=True, help="manifests of the test set (stage 2)")
    parser.add_argument("--n_items", type=int, default=None, help="stop after that many")
    args = parser.parse_args(argv)
    exp_dir = Path(args.exp_dir)
    model, conf = load_experiment(exp_dir)
    if not isinstance(model, GatedSudoRmRf):
        raise LatrefError(f"{exp_dir}: holds a {type(model).__name__}, which has no gate")
    models: dict[str, LatentRefinementModel] = {"gated": model}
    for path in sorted(exp_dir.glob("fixed*/joint/best_model.pth")):
        name = path.parts[-3].replace("fixed", "fixed ")
        models[name] = LatentRefinementModel.from_pretrained(str(path))
    data = conf["data"]
    dataset = WhamDataset(args.test_dir, data["task"], data["sample_rate"], segment=None)
    summary = report(models, dataset, exp_dir, args.n_items)
    print(f"\n{format_table(summary['models'])}\n\nwritten: {exp_dir / SUMMARY}, {ROWS}, pictures")
    return 0
