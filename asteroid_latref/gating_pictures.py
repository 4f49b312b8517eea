"""Pictures of a gate: what it does at each input SNR, and what quality its steps buy."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .files import atomic_path

# Told apart by lightness and marker too, so that they survive a grey print.
STYLES = (("#1f5fa8", "o"), ("#e08a1e", "s"), ("#7a7a7a", "^"), ("#8a2b6b", "D"), ("#2b7a4b", "v"))


def snr_picture(path: str | os.PathLike[str], table: pd.DataFrame, n_bins: int = 6) -> None:
    """Steps and SI-SDRi against input SNR: median and quartiles of each model (LIR Fig. 5).

    Args:
        path: the PNG to write.
        table: rows with ``model``, ``input_snr``, ``n_steps`` and ``si_sdr_imp``.
        n_bins: bins of input SNR, of about equally many items.
    """
    finite = table[np.isfinite(table["input_snr"]) & np.isfinite(table["si_sdr_imp"])]
    edges = np.unique(np.quantile(finite["input_snr"], np.linspace(0, 1, n_bins + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    bins = np.clip(np.searchsorted(edges, finite["input_snr"], "right") - 1, 0, len(edges) - 2)
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, column, label in (
        (axes[0], "n_steps", "steps"),
        (axes[1], "si_sdr_imp", "SI-SDRi (dB)"),
    ):
        names = list(dict.fromkeys(finite["model"]))
        for number, name in enumerate(names):
            shift = (number - (len(names) - 1) / 2) * 0.02 * (edges[-1] - edges[0])
            rows = (finite["model"] == name).to_numpy()
            _quartiles(axis, finite[rows], bins[rows], column, shift, number, name)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[1].set_xlabel("input SNR (dB), bins of equally many mixtures")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, ncols=len(names), fontsize=8, loc="outside upper center")
    axes[0].set_title("median and quartiles; dotted: mean", fontsize=9, loc="left")
    _save(figure, path)


def curve_picture(
    path: str | os.PathLike[str],
    models: Mapping[str, Mapping[str, Any]],
    curves: Mapping[str, Sequence[Mapping[str, float]]],
) -> None:
    """SI-SDRi against mean steps: a point per model, a line per gate as its bias varies.

    Args:
        path: the PNG to write.
        models: ``mean_steps`` and ``si_sdr_imp`` of each model; names with "fixed" are joined.
        curves: rows of ``mean_steps`` and ``si_sdr_imp`` by name; the model of that name is a dot
            on its line, others are named beside theirs.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for number, (name, rows) in enumerate(curves.items()):
        colour = STYLES[number % len(STYLES)][0]
        points = sorted({(row["mean_steps"], row["si_sdr_imp"]) for row in rows})
        axis.plot(*zip(*points, strict=True), color=colour, lw=1, label=f"{name}, bias varied")
        if name in models:
            place = models[name]["mean_steps"], models[name]["si_sdr_imp"]
            axis.plot(*place, "o", color=colour, ms=8, mec="white", zorder=4)
    fixed = {name: one for name, one in models.items() if "fixed" in name}
    points = sorted((one["mean_steps"], one["si_sdr_imp"]) for one in fixed.values())
    if points:
        axis.plot(*zip(*points, strict=True), "s--", color="#555555", label="fixed iterations")
    last = -1.0
    for name, one in sorted(models.items(), key=lambda item: item[1]["mean_steps"]):
        place = (one["mean_steps"], one["si_sdr_imp"])
        offset = (-8, -20)  # below; gated models above, unless the one before is there
        if name in curves:
            continue
        if name not in fixed:
            axis.plot(*place, "o", color="#c0392b", zorder=3)
            offset = (6, -14) if place[0] - last < 0.3 else (-36, 9)
            last = place[0]
        axis.annotate(name, place, xytext=offset, textcoords="offset points", fontsize=8)
    axis.margins(x=0.12)
    # A network stopped before its first step is far below all else and would squeeze it.
    reached = [one["si_sdr_imp"] for one in models.values()]
    axis.set_ylim(min(reached) - 0.5, max(reached) + 0.25)
    axis.set_xlabel("mean steps per input")
    axis.set_ylabel("SI-SDRi (dB)")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _quartiles(
    axis: Axes,
    rows: pd.DataFrame,
    bins: np.ndarray,
    column: str,
    shift: float,
    number: int,
    name: str,
) -> None:
    groups = rows.groupby(bins)
    centre = groups["input_snr"].mean().to_numpy() + shift
    low, middle, high = (groups[column].quantile(q).to_numpy() for q in (0.25, 0.5, 0.75))
    colour, marker = STYLES[number % len(STYLES)]
    axis.plot(centre, groups[column].mean().to_numpy(), ":", color=colour, lw=1)
    axis.errorbar(
        centre,
        middle,
        yerr=np.stack([middle - low, high - middle]),
        color=colour,
        marker=marker,
        ms=5,
        lw=1.2,
        capsize=3,
        label=name,
    )


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with atomic_path(Path(path)) as tmp:
        figure.savefig(tmp, dpi=90)
