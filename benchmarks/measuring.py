"""What every study measures: quality and cost of the exits, circumstances, processor time."""

import json
import platform
import shutil
import subprocess
import threading
import time
from importlib import metadata

import numpy as np
import pandas as pd
import torch

from asteroid_latref.depth import exit_rows
from asteroid_latref.evaluate import ALL_ROWS, evaluate
from asteroid_latref.experiment import BEST_MODEL, HISTORY
from asteroid_latref.files import atomic_dir, write_json
from asteroid_latref.models import LatentRefinementModel

PACKAGES = ("torch", "asteroid", "asteroid-latref", "numpy")


def processor():
    """The processor's name."""
    try:
        shown = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    return fields.get("Model name", platform.machine()).strip()


def hardware():
    return {"processor": processor(), "threads": torch.get_num_threads()}


def versions(packages=PACKAGES):
    found = {"python": platform.python_version()}
    return found | {name: metadata.version(name) for name in packages}


class Clock:
    """Seconds of this process inside the block, added to those that ``path`` holds already.

    Written down every few seconds, so that a kill does not lose what was spent before it.

    Attributes:
        total: ``cpu`` and ``wall``, once the block has ended.
    """

    def __init__(self, path, every=5.0):
        self.path, self.every = path, every
        self.before = {"cpu": 0.0, "wall": 0.0}
        if path.exists():
            self.before = json.loads(path.read_text())

    def __enter__(self):
        self.start = time.process_time(), time.perf_counter()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.total = self._write()

    def seconds(self):
        spent = time.process_time() - self.start[0], time.perf_counter() - self.start[1]
        return {k: self.before[k] + s for k, s in zip(("cpu", "wall"), spent, strict=True)}

    def _watch(self):
        while not self.ended.wait(self.every):
            self._write()

    def _write(self):
        spent = self.seconds()
        write_json(self.path, spent)
        return spent


def measure(folder, test_set, model=None, n_items=None):
    """Quality and cost of every exit of the model in ``folder``, or of ``model``.

    Quality is SI-SDRi in dB with its standard error over the mixtures, and per kind of noise where
    the names of the test files end in one (``..._KIND.wav``).
    """
    if model is None:
        model = LatentRefinementModel.from_pretrained(str(folder / BEST_MODEL))
    model = model.eval()
    final = evaluate(model, test_set, folder / "test", n_examples=0, n_items=n_items)
    rows = pd.read_csv(folder / "test" / ALL_ROWS)
    costs = model.costs() if hasattr(model, "costs") else exit_rows(model, final["exits"], 0)
    exits = []
    for cost, quality in zip(costs, final["exits"], strict=True):
        k = quality["n_blocks"]
        exits.append(
            {
                "n_blocks": k,
                "n_iters": quality["n_iters"],
                "sub_blocks": k * getattr(model, "config", {}).get("n_sub_blocks", 1),
                "parameters": cost["parameters"],
                "macs_per_second": cost["macs_per_second"],
                "si_sdr": quality["si_sdr"],
                "si_sdr_imp": quality["si_sdr_imp"],
                **spread(rows[rows["n_blocks"] == k]),
            }
        )
    stored = sum(p.numel() for p in model.parameters())
    return {
        "stored_parameters": stored,
        "n_items": final["n_items"],
        "n_skipped": final["n_skipped"],
        "exits": exits,
    }


def spread(rows):
    """Standard error over the mixtures, and means per kind of noise."""
    rows = rows[np.isfinite(rows["si_sdr_imp"])]
    error = rows["si_sdr_imp"].std() / np.sqrt(len(rows)) if len(rows) > 1 else None
    means = rows["si_sdr_imp"].groupby(kinds(rows["item"])).mean()
    return {
        "si_sdr_imp_error": None if error is None else float(error),
        "kinds": {str(kind): float(mean) for kind, mean in means.items()},
    }


def kinds(items):
    """What the file names of items end in, ``NAME_KIND.wav``; none without a ``_``."""
    return items.map(str).str.extract(r"_([^_/]+)\.[^.]+$")[0]


def real_time_factors(model, test_set, n_items=10, repeats=3):
    """Processor seconds per second of sound at every exit, the median over the repeats.

    Processor time of the whole process: with one thread other programs hardly enter into it.
    """
    wavs = [test_set[index][0] for index in range(min(n_items, len(test_set)))]
    seconds = sum(len(wav) for wav in wavs) / test_set.sample_rate
    model = model.eval()
    factors = []
    with torch.inference_mode():
        for k in model.exit_blocks:
            chosen = {"n_blocks": k} if len(model.exit_blocks) > 1 else {}
            model(wavs[0], **chosen)
            spent = [_spent(model, wavs, chosen) for _ in range(repeats)]
            factors.append(float(np.median(spent)) / seconds)
    return factors


def _spent(model, wavs, chosen):
    start = time.process_time()
    for wav in wavs:
        model(wav, **chosen)
    return time.process_time() - start


def last_losses(folder):
    """Training loss of the last epoch of every step, in dB; fine-tuning's is the exits' sum."""
    steps = sorted(folder.glob("step*")) or [folder]
    steps += [folder / "finetune"] if (folder / "finetune").exists() else []
    rows = [(step / HISTORY).read_text().splitlines() for step in steps]
    return [float(dict(zip(r[0].split(","), r[-1].split(","), strict=True))["loss"]) for r in rows]


def share(source, target):
    """Copies a finished phase of a training, whole or not at all."""
    if not target.exists() and (source / BEST_MODEL).exists():
        with atomic_dir(target) as tmp:
            shutil.copytree(source, tmp, dirs_exist_ok=True)
