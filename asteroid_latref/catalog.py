"""What the bundled models are and do, read from their files: for ``latref models`` and the docs."""

import math
from collections.abc import Sequence
from typing import Any

from .bundled import PREFIX, bundled_file, bundled_names
from .card import results
from .credits import hub_license
from .models import GatedSudoRmRf, LatentRefinementModel
from .models.serialization import load_conf

Row = dict[str, Any]

_TITLES = (
    "model",
    "task",
    "class",
    "parameters",
    "kB",
    "runs at",
    "SI-SDRi (dB)",
    "steps",
    "epochs",
    "licence",
)
_RIGHT = ("parameters", "kB", "steps", "epochs")


def describe_bundled() -> list[Row]:
    """One row of plain values per bundled model, see :func:`describe`.

    Raises:
        LatrefError: a file is damaged.
    """
    return [describe(PREFIX + name) for name in bundled_names()]


def describe(source: str) -> Row:
    """What the file of a bundled model says about it.

    Args:
        source: ``latref/NAME``.

    Returns:
        ``name``, ``task``, ``model`` (class), ``sample_rate`` (Hz), ``parameters``, ``bytes`` (of
        the file), ``exit_blocks``, ``n_iters`` (per block; for a gated model the most), ``gated``,
        ``exits`` (``n_blocks``, ``n_iters`` and ``si_sdr_imp`` in dB of each exit, from
        ``infos.final_metrics``), ``mean_steps`` (of a gate in the test, else None), ``dataset``,
        ``optimizer_steps`` and ``epochs`` (None where not recorded), ``license``.

    Raises:
        LatrefError: as :func:`asteroid_latref.models.serialization.load_conf`.
    """
    conf = load_conf(source)
    model = LatentRefinementModel.from_pretrained(conf)
    infos = conf.get("infos") or {}
    run = infos.get("training_run") or {}
    licence = hub_license(conf.get("licenses") or [])
    kept = ("n_blocks", "n_iters", "si_sdr_imp")
    return {
        "name": source,
        "task": conf.get("task"),
        "model": conf["model_name"],
        "sample_rate": model.sample_rate,
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": bundled_file(source).stat().st_size,
        "exit_blocks": list(model.exit_blocks),
        "n_iters": list(model.n_iters),
        "gated": isinstance(model, GatedSudoRmRf),
        "exits": [{key: row.get(key) for key in kept} for row in results(conf)],
        "mean_steps": ((infos.get("final_metrics") or {}).get("gate") or {}).get("mean_steps"),
        "dataset": conf.get("dataset"),
        "optimizer_steps": run.get("optimizer_steps"),
        "epochs": run.get("epochs"),
        "license": licence.get("license_name", licence["license"]),
    }


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a text table.

    Examples:
        >>> print(format_table([]))
        no models come with this copy of the package
    """
    if not rows:
        return "no models come with this copy of the package"
    table = [_TITLES, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(_TITLES))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if title in _RIGHT else cell.ljust(width)
            for title, cell, width in zip(_TITLES, line, widths, strict=True)
        ).rstrip()
        for line in table
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, with what was measured on what under it."""
    if not rows:
        return "No models come with this copy of the package.\n"
    lines = ["| " + " | ".join(_TITLES) + " |"]
    lines.append("|" + "|".join("---:" if t in _RIGHT else "---" for t in _TITLES) + "|")
    lines += ["| " + " | ".join((f"`{row['name']}`", *_cells(row)[1:])) + " |" for row in rows]
    datasets = ", ".join(sorted({str(row["dataset"]) for row in rows}))
    lines += ["", f"SI-SDRi: means over the test set of {datasets}, at every exit in order; steps:"]
    lines[-1] += " of the optimizer, over all stages of the training."
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["name"],
        row["task"] or "unknown",
        row["model"],
        f"{row['parameters']:,}",
        f"{row['bytes'] / 1000:.0f}",
        runs_at(row),
        ", ".join(_number(one["si_sdr_imp"]) for one in row["exits"]) or "not measured",
        "?" if row["optimizer_steps"] is None else f"{row['optimizer_steps']:,}",
        "?" if row["epochs"] is None else str(row["epochs"]),
        row["license"].replace("see-card", "see card").replace("-see", ", see"),
    )


def runs_at(row: Row) -> str:
    """The operating points in a few words.

    Examples:
        >>> runs_at({"exit_blocks": [1, 2], "n_iters": [1, 1], "gated": False})
        '2 exits'
        >>> runs_at({"exit_blocks": [1], "n_iters": [4], "gated": True, "mean_steps": 3.21})
        'up to 4 iterations, a gate decides (3.21 on average)'
    """
    n_exits, most = len(row["exit_blocks"]), max(row["n_iters"])
    parts = [f"{n_exits} exits"] if n_exits > 1 else []
    if most > 1 or row["gated"]:
        parts.append(f"up to {most} iterations")
    if row["gated"]:
        steps = row.get("mean_steps")
        parts.append("a gate decides" + (f" ({steps:.2f} on average)" if steps else ""))
    return ", ".join(parts) or "one point"


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) and math.isfinite(value) else "?"
