"""The measurements of the speed benchmark, each in a process of its own.

``python -m benchmarks.speed_sections SECTION OUT.json``; ``benchmarks.run`` calls it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from asteroid_latref.audio import write_audio
from asteroid_latref.files import write_json
from asteroid_latref.memory import keep_freed_memory
from asteroid_latref.profile import count_macs
from asteroid_latref.saved import saved_for_backward
from asteroid_latref.separate import SeparateOptions, separate_file

from .speed_models import RATE, Floor, joint_network, other_networks, same_network
from .speed_timing import in_turns, training_step

POINTS = ((1, 1), (1, 4), (8, 4), (1, 60))
"""Batch and seconds of the timed inferences."""


def inference(args):
    """Asteroid's network, ours eager and compiled, and the floors."""
    theirs, ours = (m.eval() for m in same_network(device=args.device))
    compiled = torch.compile(ours, mode="reduce-overhead" if args.device == "cuda" else None)
    rows = []
    for batch, seconds in POINTS[:2] if args.quick else POINTS:
        wav = torch.randn(batch, 1, int(seconds * RATE), device=args.device)
        calls = {
            "Asteroid": lambda wav=wav: theirs(wav),
            "ours": lambda wav=wav: ours(wav),
            "ours, compiled": lambda wav=wav: compiled(wav),
            "floor": Floor(ours, batch, seconds),
            "floor, as conv1d": Floor(ours, batch, seconds, "conv1d"),
            "floor, as linear": Floor(ours, batch, seconds, "linear"),
        }
        large = batch * seconds > 8
        with torch.no_grad():
            torch._dynamo.reset()  # one shape each, not one program for all
            error = ((theirs(wav) - ours(wav)).norm() / theirs(wav).norm()).item()
            rounds = 3 if large or args.quick else 20
            times = in_turns(calls, rounds, 1 if large else 3, args.device)
        row = {"batch": batch, "seconds": seconds, "times": times, "relative_error": error}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def others(args):
    """Asteroid's other separators beside ours, and our default with the paper's decoder."""
    theirs, ours = (m.eval() for m in same_network(device=args.device))
    models = {"Asteroid": theirs, "ours": ours, "ours, joint decoder": joint_network(args.device)}
    models |= other_networks(args.device)
    wav = torch.randn(1, 1, 4 * RATE, device=args.device)
    calls = {name: lambda m=m: m(wav) for name, m in models.items()}
    with torch.no_grad():
        times = in_turns(calls, 2 if args.quick else 4, 1, args.device)
        macs = {name: count_macs(call) for name, call in calls.items()}
    parameters = {k: sum(p.numel() for p in m.parameters()) for k, m in models.items()}
    return {"times": times, "macs": macs, "parameters": parameters}


def training(args):
    """One step of training at batch 4."""
    theirs, ours = same_network(device=args.device)
    steps = {
        "Asteroid": training_step(theirs, 4, 4, args.device),
        "ours": training_step(ours, 4, 4, args.device),
    }
    if not args.quick:
        copy = same_network(device=args.device)[1]
        steps["ours, bf16"] = training_step(copy, 4, 4, args.device, autocast=True)
    return in_turns(steps, 2 if args.quick else 5, 1, args.device)


def saved_bytes(args):
    """Bytes kept for backward, by sub-blocks and by checkpointed iterations; one example of 4 s."""
    wav = torch.randn(1, 1, (1 if args.quick else 4) * RATE, device=args.device)
    depths = {}
    for n_sub_blocks in (4, 16):
        theirs, ours = same_network(n_sub_blocks, args.device)
        depths[n_sub_blocks] = {
            "Asteroid": saved_for_backward(theirs, lambda m=theirs: m(wav)),
            "ours": saved_for_backward(ours, lambda m=ours: m(wav)),
        }
    iterations = {}
    for n in (1, 2, 4, 8, 16):
        kinds = {"stored": False, "checkpointed": True}
        iterations[n] = {}
        for kind, checkpoint in kinds.items():
            sizes = {"n_sub_blocks": 1, "n_iters": n, "checkpoint_iters": checkpoint}
            model = joint_network(args.device, **sizes)
            iterations[n][kind] = saved_for_backward(model, lambda m=model: m(wav))
    return {"sub_blocks": depths, "iterations": iterations, "seconds": wav.shape[-1] / RATE}


def length(args):
    """Our time and memory by length of the input."""
    model = same_network(device=args.device)[1].eval()
    rows = []
    for seconds in (1, 4, 16) if args.quick else (1, 4, 16, 60, 240, 600):
        wav = torch.randn(1, 1, seconds * RATE, device=args.device)
        with torch.inference_mode():
            rounds = 15 if seconds < 60 else 3
            times = in_turns({"ours": lambda w=wav: model(w)}, rounds, 1, args.device)["ours"]
        rows.append({"seconds": seconds, "times": times, "peak_rss": peak_rss()})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def iterations(args):
    """Our time and memory by number of iterations of one sub-block, and of a training step."""
    rows = []
    wav = torch.randn(1, 1, 4 * RATE, device=args.device)
    for n in (1, 2, 4, 8, 16):
        models = {
            kind: joint_network(args.device, n_sub_blocks=1, n_iters=n, checkpoint_iters=check)
            for kind, check in (("stored", False), ("checkpointed", True))
        }
        calls = {k: training_step(m, 1, 4, args.device) for k, m in models.items()}
        with torch.no_grad():
            infer = in_turns({"ours": lambda m=models["stored"]: m(wav)}, 8, 2, args.device)
        steps = in_turns(calls, 2 if args.quick else 4, 1, args.device)
        rows.append({"n_iters": n, "inference": infer["ours"], "steps": steps})
    return rows


def choices(args):
    """What a user can choose, at 4 s: precision and compilation, threads, batch."""
    model = same_network(device=args.device)[1].eval()
    rows = []

    def measure(name, threads, batch, call, context=torch.no_grad):
        torch.set_num_threads(threads)
        wav = torch.randn(batch, 1, 4 * RATE, device=args.device)
        with context(), torch.no_grad():
            times = in_turns({name: lambda: call(wav)}, 3 if args.quick else 8, 2, args.device)
        rows.append({"name": name, "threads": threads, "batch": batch, "times": times[name]})

    def bf16():
        return torch.autocast(args.device, torch.bfloat16)

    measure("eager", args.threads, 1, model)
    measure("eager, bf16", args.threads, 1, model, bf16)
    for threads in sorted({1, args.threads}):
        measure(f"eager, {threads} thread(s)", threads, 1, model)
    for batch in (1, 4, 8):
        measure(f"eager, batch {batch}", args.threads, batch, model)
    if not args.quick:
        compiled = torch.compile(model)
        measure("compiled", args.threads, 1, compiled)
        torch._dynamo.reset()
        measure("compiled, bf16", args.threads, 1, torch.compile(model), bf16)
    return rows


def peak(args):
    """Peak memory of a process that does one thing, beyond that of one that only imports."""
    cases = ["nothing", "inference Asteroid 4", "inference ours 4"]
    cases += ["training Asteroid 4", "training ours 4"]
    if not args.quick:
        cases += ["inference Asteroid 60", "inference ours 60"]
    found = {}
    for case in cases:
        command = [sys.executable, "-W", "ignore", "-m", __spec__.name, "peak_of", "-", case]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        found[case] = int(run.stdout.split()[-1])
    base = found.pop("nothing")
    return {"beyond_import": {case: rss - base for case, rss in found.items()}, "import": base}


def hour(args):
    """An hour of noise from file to files, in windows: time and memory of the process."""
    seconds = 60 if args.quick else 3600
    model = same_network(device=args.device)[1].eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        noise = 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE, dtype=np.float32)
        write_audio(path, noise, RATE)
        done = separate_file(model, path, options=SeparateOptions())
    found = {"seconds": seconds, "elapsed": done.elapsed, "peak_rss": peak_rss()}
    return found | {"windows": done.windows, "window_seconds": SeparateOptions().window}


def peak_of(case):
    if case != "nothing":
        what, who, seconds = case.split()
        model = same_network()[who == "ours"]
        if what == "training":
            step = training_step(model, 4, int(seconds))
            step(), step()
        else:
            with torch.inference_mode():
                model(torch.randn(1, 1, int(seconds) * RATE))
    print(peak_rss())


def peak_rss():
    """Largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


SECTIONS = {
    f.__name__: f
    for f in (inference, others, training, saved_bytes, length, iterations, choices, peak, hour)
}


def in_child(section, flags):
    """Runs a section in a fresh process and returns what it found."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, "-W", "ignore", "-m", __spec__.name, section, str(out), *flags]
        # PyTorch reads this one when it starts: large pages, whose tables stay small.
        pages = {"THP_MEM_ALLOC_ENABLE": "1"} if "--keep_memory" in flags else {}
        subprocess.run(command, check=True, env=os.environ | pages)
        return json.loads(out.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("section", choices=[*SECTIONS, "peak_of"])
    parser.add_argument("out")
    parser.add_argument("case", nargs="?")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep_memory", action="store_true")
    args = parser.parse_args()
    if args.keep_memory:
        keep_freed_memory()
    torch.set_num_threads(args.threads)
    if args.section == "peak_of":
        peak_of(args.case)
    else:
        write_json(args.out, SECTIONS[args.section](args))


if __name__ == "__main__":
    main()
