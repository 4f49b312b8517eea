"""Mixtures of the test set, what they are made of, and what a model hears in them at every exit."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .audio import write_audio
from .data.wham import get_task
from .errors import LatrefError
from .evaluate import at_mixture_level, in_order
from .examples import Example, load_examples
from .files import atomic_dir, write_json
from .gating import si_sdr
from .models import GatedSudoRmRf, LatentRefinementModel
from .pictures import column_picture

METRICS = "metrics.json"
PICTURE = "spectrogram.png"


@dataclass(frozen=True)
class Reading:
    """A model's estimates at one operating point.

    Attributes:
        key: part of file names.
        title: for people.
        est: ``(slots, time)``.
        point: ``n_blocks``, ``n_iters`` and, if a gate decided, ``n_steps``.
    """

    key: str
    title: str
    est: Tensor
    point: dict[str, Any]


def read_at_exits(model: LatentRefinementModel, mixture: Tensor) -> list[Reading]:
    """What a model gives at every exit.

    A model with one exit is read after each number of iterations; a gated one as its gate decides
    first.

    Args:
        model: in eval mode.
        mixture: ``(time,)``.
    """
    with torch.inference_mode():
        if len(model.exit_blocks) > 1:
            exits = model.forward_exits(mixture)
            found = [
                Reading(f"exit{k}", f"exit {k}", est, _point(k, model.n_iters[:k]))
                for k, est in zip(model.exit_blocks, exits, strict=True)
            ]
        else:
            found = []
            for k, counts in model.operating_points():
                n, est = max(counts), model(mixture, n_blocks=k, n_iters=list(counts))
                title = f"{n} iteration{'s' * (n > 1)}"
                found.append(Reading(f"iterations{n}", title, est, _point(k, counts)))
        if isinstance(model, GatedSudoRmRf):
            est, steps = model.separate_with_steps(mixture)
            point = {**_point(model.n_blocks, model.n_iters), "n_steps": int(steps)}
            found.insert(0, Reading("gate", f"gate: {int(steps)} steps", est, point))
    return found


def write_demo(
    model: LatentRefinementModel, name: str, out_dir: str | Path, overwrite: bool = False
) -> dict[str, Any]:
    """Writes the bundled mixtures, their sources, and a model's estimates at every exit.

    Each mixture gets a folder with ``mixture.wav``, the true sources (``s1.wav``), the estimates
    (``s1_exit1.wav``) and ``spectrogram.png``. ``metrics.json`` holds all figures. The folder is
    written whole or not at all.

    Args:
        model: with a task; it is put in eval mode.
        name: of the model, for the figures.
        out_dir: must not exist, or be empty.
        overwrite: replace what an earlier demo wrote there.

    Returns:
        What ``metrics.json`` holds: ``model``, ``class``, ``task`` and ``mixtures``, each with
        ``name``, ``input_si_sdr`` and ``readings`` (``key``, ``title``, ``n_blocks``, ``n_iters``,
        ``n_steps`` of a gate, ``si_sdr`` and ``si_sdr_imp`` in dB, means over the speech sources,
        and ``si_sdr_of_each``).

    Raises:
        LatrefError: no task, outputs that do not fit it, another sample rate than the mixtures',
            ``out_dir`` in use.
    """
    out_dir = Path(out_dir)
    if model.task is None:
        raise LatrefError(f"{name}: does not say its task, so there is no mixture to choose for it")
    wanted = get_task(model.task)
    slots = wanted.slots[: model.n_src]  # the noise need not be an output
    if model.n_src not in (wanted.n_speech, len(wanted.slots)):
        raise LatrefError(f"{name}: {model.n_src} outputs do not fit {model.task}")
    _check_free(out_dir, overwrite)
    examples = load_examples(model.task, int(model.sample_rate))
    model.eval()
    with atomic_dir(out_dir) as tmp:
        mixtures = [
            _write_example(tmp / example.name, model, example, slots, name)
            for example in tqdm(examples, desc="demo", unit="mixture", disable=None)
        ]
        kind = type(model).__name__
        figures = {"model": name, "class": kind, "task": model.task, "mixtures": mixtures}
        write_json(tmp / METRICS, figures)
        if out_dir.exists():
            shutil.rmtree(out_dir)  # what an earlier demo wrote there
    return figures


def format_table(figures: dict[str, Any]) -> str:
    """SI-SDRi of every mixture and reading, as a text table; a gate's steps in brackets."""
    lines = [["mixture", "SI-SDR in"]]
    lines[0] += [_heading(reading) for reading in figures["mixtures"][0]["readings"]]
    for mixture in figures["mixtures"]:
        cells = [mixture["name"], f"{mixture['input_si_sdr']:.2f}"]
        for reading in mixture["readings"]:
            steps = f" ({reading['n_steps']})" if "n_steps" in reading else ""
            cells.append(f"{reading['si_sdr_imp']:+.2f}{steps}")
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    head = f"{figures['model']} ({figures['class']}, {figures['task']}): SI-SDRi in dB"
    return "\n".join([head, *rows])


def _write_example(
    folder: Path, model: LatentRefinementModel, example: Example, slots: Sequence[str], name: str
) -> dict[str, Any]:
    mixture, targets = example.mixture, example.targets[: len(slots)]
    rate = int(model.sample_rate)
    n_speech = get_task(str(model.task)).n_speech
    speech = targets[:n_speech]
    before = [si_sdr(mixture[None], source[None]) for source in speech]
    sounds = {"mixture": mixture, **dict(zip(slots, targets, strict=True))}
    columns = [
        [
            (f"mixture, as {slots[i]}: SI-SDR {before[i]:.1f} dB", mixture),
            (f"{slots[i]}: target", speech[i]),
        ]
        for i in range(n_speech)
    ]
    rows = []
    for reading in read_at_exits(model, mixture):
        est = at_mixture_level(in_order(reading.est, targets, n_speech), mixture)
        after = [si_sdr(est[i : i + 1], speech[i : i + 1]) for i in range(n_speech)]
        for i, column in enumerate(columns):
            column.append((f"{slots[i]}, {reading.title}: SI-SDR {after[i]:.1f} dB", est[i]))
        sounds |= {f"{slot}_{reading.key}": wav for slot, wav in zip(slots, est, strict=True)}
        mean = sum(after) / n_speech
        figures = {"si_sdr": mean, "si_sdr_imp": mean - sum(before) / n_speech}
        named = {"key": reading.key, "title": reading.title, **reading.point}
        rows.append({**named, **figures, "si_sdr_of_each": after})
    for stem, wav in sounds.items():
        write_audio(folder / f"{stem}.wav", wav.numpy(), rate)
    drawn = [[(title, wav.numpy()) for title, wav in column] for column in columns]
    heading = f"{example.name.replace('_', ' ')} of the test set, {model.task}: {name}"
    column_picture(folder / PICTURE, drawn, rate, heading)
    return {
        "name": example.name,
        "seconds": len(mixture) / rate,
        "input_si_sdr": sum(before) / n_speech,
        "readings": rows,
    }


def _point(n_blocks: int, n_iters: Sequence[int]) -> dict[str, Any]:
    return {"n_blocks": n_blocks, "n_iters": list(n_iters)}


def _heading(reading: dict[str, Any]) -> str:
    return "gate (steps)" if "n_steps" in reading else str(reading["title"])


def _check_free(out_dir: Path, overwrite: bool) -> None:
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return
    if not (out_dir / METRICS).is_file() or not any(out_dir.glob(f"*/{PICTURE}")):
        raise LatrefError(f"{out_dir}: exists and is no earlier demo; name another folder (-o)")
    if not overwrite:
        raise LatrefError(f"{out_dir}: exists; name another folder (-o) or add --overwrite")
