"""The card of a published model: what it does, how well, at which cost, and under which licence."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .bundled import PREFIX
from .credits import hub_license, license_note

Row = Mapping[str, Any]

_WHAT = {
    "enh_single": "enhances speech: it takes the noise away from one talker",
    "enh_both": "enhances speech: it takes the noise away from two talkers",
    "sep_clean": "separates two talkers",
    "sep_noisy": "separates two talkers and takes the noise away",
}
_METRICS = {
    "si_sdr_imp": ("si-sdri", "SI-SDRi (dB)"),
    "si_sdr": ("si-sdr", "SI-SDR (dB)"),
    "sdr_imp": ("sdri", "SDRi (dB)"),
    "sdr": ("sdr", "SDR (dB)"),
    "stoi": ("stoi", "STOI"),
    "pesq": ("pesq", "PESQ"),
}


def make_card(
    conf: Mapping[str, Any], repo_id: str, slots: Sequence[str], points: Sequence[Row] = ()
) -> ModelCard:
    """The card of a serialized model; needs no template engine and no connection.

    Args:
        conf: as ``save_publishable`` returns it; where ``dataset``, ``task``, ``licenses`` or an
            entry of ``infos`` is missing, the card says that it is unknown. ``infos`` may hold a
            ``training_run`` and ``limits``, as :mod:`asteroid_latref.bundling` writes them.
        repo_id: ``user/name`` on the hub, or ``latref/NAME`` of a bundled model.
        slots: what each output is.
        points: rows of :func:`asteroid_latref.profile.profile_model`, one per operating point.
    """
    data = card_data(conf, repo_id)
    infos = conf.get("infos") or {}
    name = repo_id.split("/")[-1]
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        _summary(conf, slots) + (_CHOICE if len(points) > 1 else ""),
        f"## Use\n\n{_usage(repo_id, str(conf['model_name']))}",
        f"## Operating points\n\n{_points_table(points, conf)}",
        f"## Results\n\n{_results_table(conf)}",
        f"## Training\n\n{_training(infos)}",
        f"## Licence\n\n{license_note(name, conf.get('licenses') or [])}",
        f"## Versions\n\n{_versions(infos)}",
    ]
    if infos.get("limits"):
        limits = "\n".join(f"- {limit}" for limit in infos["limits"])
        parts.insert(-2, f"## Limits\n\n{limits}")
    return ModelCard("\n\n".join(parts) + "\n", ignore_metadata_errors=False)


def card_data(conf: Mapping[str, Any], repo_id: str) -> ModelCardData:
    """The card's metadata; ``model-index`` holds the figures of every exit."""
    task = str(conf.get("task") or "unknown")
    dataset = str(conf.get("dataset") or "unknown")
    evaluated = [
        EvalResult(
            task_type="audio-to-audio",
            task_name=task,
            dataset_type=_slug(dataset),
            dataset_name=dataset,
            dataset_config=task,
            dataset_split="test",
            metric_type=_METRICS[metric][0],
            metric_name=_METRICS[metric][1] + where,
            metric_value=value,
        )
        for where, metric, value in _headline(conf)
    ]
    kind = "speech-separation" if task.startswith("sep") else "speech-enhancement"
    tags = ["asteroid", "audio", "audio-to-audio", str(conf["model_name"])]
    return ModelCardData(
        library_name="asteroid",
        pipeline_tag="audio-to-audio",
        tags=tags if task == "unknown" else [*tags, kind],
        datasets=None if dataset == "unknown" else [_slug(dataset)],
        model_name=repo_id.split("/")[-1] if evaluated else None,
        eval_results=evaluated or None,
        **hub_license(conf.get("licenses") or []),
    )


def results(conf: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of every exit that were stored with the model, the deepest exit last."""
    final = (conf.get("infos") or {}).get("final_metrics") or {}
    rows = final.get("exits") or [final]
    return [row for row in map(dict, rows) if any(_finite(row.get(m)) for m in _METRICS)]


def _headline(conf: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    rows = results(conf)
    if not rows:
        return []
    whole = rows.pop()  # first, for it is what the hub shows
    named = [("", metric, whole[metric]) for metric in _METRICS if _finite(whole.get(metric))]
    for row in rows:
        if _finite(row.get("si_sdr_imp")):
            named.append((f", {row.get('n_blocks')} block(s)", "si_sdr_imp", row["si_sdr_imp"]))
    return [(where, metric, round(float(value), 4)) for where, metric, value in named]


_CHOICE = " One set of weights, several operating points: fewer blocks or iterations cost less."


def _summary(conf: Mapping[str, Any], slots: Sequence[str]) -> str:
    task = str(conf.get("task") or "unknown")
    what = _WHAT.get(task, "separates sources")
    rate = conf["model_args"].get("sample_rate")
    at = "" if rate is None else f" at {rate:g} Hz"
    return f"This `{conf['model_name']}` {what}{at}. Outputs, in order: {', '.join(slots)}."


def _usage(repo_id: str, name: str) -> str:
    bundled = repo_id.startswith(PREFIX)
    more = f"\nlatref demo {repo_id}  # three test mixtures, to hear" if bundled else ""
    comes = "\n\nThe weights come with the package; nothing is fetched." if bundled else ""
    return f"""```bash
pip install asteroid-latref
latref separate {repo_id} recording.wav{more}
```{comes}

```python
import asteroid_latref  # without it Asteroid does not know the class
from asteroid.models import BaseModel

model = BaseModel.from_pretrained("{repo_id}")

from asteroid_latref import {name}

model = {name}.from_pretrained("{repo_id}")  # the same; n_blocks= and n_iters= choose less
```"""


def _points_table(points: Sequence[Row], conf: Mapping[str, Any]) -> str:
    if not points:
        return "One: this model runs as it was trained."
    final = (conf.get("infos") or {}).get("final_metrics") or {}
    # With a gate, what was measured at an exit is the gate's choice and no fixed number of steps.
    figures = ([] if final.get("gate") else results(conf)) + final.get("points", [])
    best = {(r.get("n_blocks"), *_counts(r)): r.get("si_sdr_imp") for r in figures}
    head = ["blocks", "iterations", "parameters", "GMAC per second of audio", "SI-SDRi (dB)"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in points:
        gain = best.get((row["n_blocks"], *_counts(row)))
        cells = [
            str(row["n_blocks"]),
            ", ".join(map(str, _counts(row))) or "-",
            f"{row['parameters']:,}",
            f"{row['gmacs_per_second']:.3f}",
            f"{gain:.2f}" if _finite(gain) else "not measured",
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def _results_table(conf: Mapping[str, Any]) -> str:
    rows = results(conf)
    if not rows:
        return "Not evaluated."
    metrics = [m for m in _METRICS if all(_finite(row.get(m)) for row in rows)]
    exits = len(rows) > 1
    final = conf["infos"]["final_metrics"]
    count = f"{final['n_items']} mixtures of the " if final.get("n_items") else ""
    lines = [
        f"Means over the speech sources of the {count}test set of"
        f" {conf.get('dataset') or 'unknown data'} ({conf.get('task') or 'unknown task'}).",
        "",
        _line(["blocks"] * exits + [_METRICS[m][1] for m in metrics]),
        _line(["---"] * (len(metrics) + exits)),
    ]
    for row in rows:
        first = [str(row.get("n_blocks", "-"))] * exits
        lines.append(_line([*first, *(f"{row[m]:.2f}" for m in metrics)]))
    return "\n".join(lines) + _gate_note(final.get("gate") or {})


def _gate_note(gate: Mapping[str, Any]) -> str:
    """What the gate did with the test set; fixed numbers of steps are in the table of points."""
    if not gate:
        return ""
    shares = ", ".join(f"{n} for {100 * share:.0f} %" for n, share in gate["shares"].items())
    return f"\n\nThe gate took {gate['mean_steps']:.2f} steps on average: {shares} of the inputs."


def _training(infos: Mapping[str, Any]) -> str:
    recipe = infos.get("recipe_name")
    said = f"Recipe: `{recipe}`." if recipe else "Recipe: not recorded."
    if infos.get("training_run"):
        said += _run(infos["training_run"])
    config = infos.get("training_config")
    if not config:
        return said
    return f"{said}\n\n```yaml\n{yaml.safe_dump(config, sort_keys=False).strip()}\n```"


def _run(run: Mapping[str, Any]) -> str:
    """The command that repeats the training, and what it took."""
    stages = "; ".join(
        f"{stage['name']}: {stage['optimizer_steps']:,} steps in {stage['epochs']} epochs"
        for stage in run["stages"]
    )
    several = f" ({stages})" if len(run["stages"]) > 1 else ""
    seeds = ", ".join(f"{key} {value}" for key, value in run["seeds"].items())
    lines = [
        "",
        "",
        "In `egs/wham` of the sources, this trains it again:",
        "",
        f"```bash\n{run['command']}\n```",
        "",
        f"- Optimizer steps: {run['optimizer_steps']:,} in {run['epochs']} epochs{several}",
        f"- Hardware: {run['hardware']}",
        f"- Seeds: {seeds}",
    ]
    lines += [f"- {key}: {value}" for key, value in (run.get("data") or {}).items()]
    return "\n".join(lines)


def _versions(infos: Mapping[str, Any]) -> str:
    versions = infos.get("software_versions") or {}
    named = {key.removesuffix("_version"): value for key, value in versions.items()}
    return "\n".join(f"- {key}: {value}" for key, value in named.items()) or "Not recorded."


def _counts(row: Row) -> tuple[int, ...]:
    counts = row.get("n_iters")
    return tuple(counts) if isinstance(counts, (list, tuple)) else ((counts,) if counts else ())


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown"
