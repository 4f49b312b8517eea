"""What a training took, read from its folder: steps, epochs, seeds, data."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .data.licenses import CORPUS_FILE
from .engine.checkpoint import load_checkpoint
from .engine.train import CHECKPOINTS, LAST
from .errors import LatrefError

# Stages whose weights end up in the model; baselines that were trained alongside do not count.
_STAGES = (".", "step*", "finetune", "pretrained", "joint")
_CORPUS = ("n_tr", "n_cv", "n_tt", "seconds", "second_db", "snr_db", "noise_kinds", "pool_hours")


def describe_run(
    exp_dir: Path,
    conf: Mapping[str, Any],
    final: Mapping[str, Any],
    command: str,
    hardware: str | None = None,
) -> dict[str, Any]:
    """What the card of a model says of its training.

    Args:
        exp_dir: the experiment's folder.
        conf: its configuration.
        final: what its ``final_metrics.json`` holds.
        command: repeats the training.
        hardware: what it ran on. Default: this machine.

    Returns:
        ``command``, ``hardware``, ``stages`` (``name``, ``epochs``, ``optimizer_steps``), their
        sums ``epochs`` and ``optimizer_steps``, ``seeds``, and ``data`` in words.

    Raises:
        LatrefError: no checkpoint tells how many steps were taken, or one is damaged.
    """
    stages = [*_stages_before(conf), *training_stages(exp_dir)]
    corpus = _corpus_options(conf)
    seeds = {"training": conf["training"].get("seed", 0)}
    if "seed" in corpus:
        seeds["mixtures"] = corpus["seed"]
    return {
        "command": command.strip(),
        "hardware": hardware or this_machine(),
        "stages": stages,
        "epochs": sum(stage["epochs"] for stage in stages),
        "optimizer_steps": sum(stage["optimizer_steps"] for stage in stages),
        "seeds": seeds,
        "data": _data(conf, final, corpus),
    }


def training_stages(exp_dir: Path) -> list[dict[str, Any]]:
    """Name, epochs and optimizer steps of every stage, from its last checkpoint.

    Raises:
        LatrefError: there is none, or one is damaged.
    """
    stages = []
    for pattern in _STAGES:
        folders = [exp_dir] if pattern == "." else sorted(exp_dir.glob(pattern), key=_number)
        for folder in folders:
            last = folder / CHECKPOINTS / LAST
            if last.is_file():
                state = load_checkpoint(last)
                name = "training" if folder == exp_dir else folder.name
                counts = {"epochs": state["epoch"] + 1, "optimizer_steps": state["global_step"]}
                stages.append({"name": name, **counts})
    if not stages:
        raise LatrefError(f"{exp_dir}: no {CHECKPOINTS}/{LAST}, so the steps taken are unknown")
    return stages


def _stages_before(conf: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of the experiment whose model this one began with."""
    init = conf["training"].get("init")
    if init is None:
        return []
    stages = training_stages(Path(init).parent)
    return [{**stage, "name": f"before: {stage['name']}"} for stage in stages]


def this_machine() -> str:
    """Processor and threads, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    n = torch.get_num_threads()
    return f"CPU {name}, {n} thread{'s' * (n > 1)}"


def _number(folder: Path) -> int:
    digits = "".join(c for c in folder.name if c.isdigit())
    return int(digits or 0)


def _corpus_options(conf: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the corpus trained on, if its description is still where it was."""
    path = Path(str(conf["data"].get("train_dir"))) / CORPUS_FILE
    try:
        return dict(json.loads(path.read_text())["options"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _data(
    conf: Mapping[str, Any], final: Mapping[str, Any], corpus: Mapping[str, Any]
) -> dict[str, str]:
    data = conf["data"]
    said = f"{final['data']['dataset']}, {data['task']}, {data['segment']:g} s at a time"
    if data.get("n_mixtures"):
        said += f", {data['n_mixtures']} new mixtures in every epoch"
    kept = {key: corpus[key] for key in _CORPUS if corpus.get(key)}
    if kept:
        said += f" ({', '.join(f'{key} {_plain(value)}' for key, value in kept.items())})"
    return {"Data": said}


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)
