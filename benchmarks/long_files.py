"""Long recordings: how close windows are to the whole, and what an hour takes.

``python -m benchmarks.long_files MODEL SPEECH_DIR NOISE_DIR`` joins utterances and noise to
recordings of 60 s, separates them whole and in windows, then separates an hour with the command,
and writes ``docs/results/long_files.json`` and the tables of the page on separating.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from asteroid_latref.audio import list_audio, read_audio
from asteroid_latref.commands.common import load_model
from asteroid_latref.files import atomic_path, write_json
from asteroid_latref.separate import SeparateOptions, separate_array, slots_of

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "long_files.json"
SECONDS = 60
WINDOWS = ((4, 1), (8, 2), (16, 4), (30, 4))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("speech_dir")
    parser.add_argument("noise_dir")
    parser.add_argument("--n", type=int, default=9, help="recordings (default: 9)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--skip_hour", action="store_true")
    args = parser.parse_args()
    model = load_model(args.model, torch.device("cpu"))
    rate = int(model.sample_rate)
    speech, noise = (list_audio(d) for d in (args.speech_dir, args.noise_dir))
    rows = []
    for number in range(args.n):
        refs, mix = recording(speech, noise, number, rate, model)
        rows += compare(model, refs, mix, number)
        print(json.dumps(rows[-1]), flush=True)
    final = {"windows": rows, "model": describe(model), "circumstances": circumstances()}
    if not args.skip_hour:
        final["hour"] = hour(args.model, speech, noise, rate, model)
    write_json(args.out, final)
    with atomic_path(args.out.with_suffix(".inc")) as tmp:
        tmp.write_text(table(final))
    print(table(final))


def recording(speech, noise, seed, rate, model):
    """Speech sources and mixture of a minute: utterances at one level, noise at 0 or -3 dB."""
    slots, n_speech = slots_of(model)
    refs = [joined(speech, (seed, k), rate, SECONDS) for k in range(n_speech)]
    mix = np.sum(refs, axis=0)
    if len(slots) > n_speech:
        wav, _ = read_audio(noise[seed % len(noise)], rate)
        wav = np.resize(wav[:, 0], len(mix))
        mix = mix + wav / wav.std() * 0.05 * 10 ** (-3 * (seed % 2) / 20)
    return refs, mix.astype(np.float32)


def joined(files, seed, rate, seconds):
    """Randomly chosen files, each at the same level, one after the other."""
    parts, length = [], 0
    rng = np.random.default_rng(seed)
    while length < seconds * rate:
        wav, _ = read_audio(files[rng.integers(len(files))], rate)
        parts.append(wav[:, 0] / wav.std() * 0.05)
        length += len(wav)
    return np.concatenate(parts)[: seconds * rate]


def compare(model, refs, mix, number):
    whole, _ = separate_array(model, mix, SeparateOptions(window=0))
    rows = []
    for window, overlap in WINDOWS:
        options = SeparateOptions(window=window, overlap=overlap)
        est, _ = separate_array(model, mix, options)
        for k, ref in enumerate(refs):
            found = [max(si_sdr(e, ref) for e in out[: len(refs)]) for out in (whole, est)]
            row = {"recording": number, "source": k, "window": window, "overlap": overlap}
            rows.append(row | {"whole": found[0], "windows": found[1]})
    return rows


def si_sdr(est, ref):
    est, ref = est.astype(np.float64), ref.astype(np.float64)
    scaled = ref * (est @ ref) / (ref @ ref)
    return float(10 * np.log10((scaled @ scaled) / ((est - scaled) @ (est - scaled))))


def hour(source, speech, noise, rate, model):
    """Peak memory of ``latref separate`` on an hour, and its real-time factor."""
    _, mix = recording(speech, noise, 0, rate, model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.wav"
        with sf.SoundFile(path, "w", rate, 1, "PCM_16") as file:
            for _ in range(3600 // SECONDS):
                file.write(np.clip(mix, -1, 1))
        command = [sys.executable, "-m", "asteroid_latref.cli", "separate", source, str(path)]
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
        summary = json.loads(done.stdout)["files"][0]
    kept = ("seconds", "windows", "elapsed", "real_time_factor")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    load = os.getloadavg()[2]
    return {**{k: summary[k] for k in kept}, "peak_rss_bytes": peak, "load_average": load}


def describe(model):
    n_params = sum(p.numel() for p in model.parameters())
    return {"name": type(model).__name__, "args": model.get_model_args(), "n_params": n_params}


def circumstances():
    return {
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }


def table(final):
    """The Markdown of the page."""
    model = final["model"]
    lines = [
        f"{model['name']}, {model['n_params']:,} parameters; SI-SDR over",
        f"{1 + max(r['recording'] for r in final['windows'])} recordings of {SECONDS} s; the last"
        " columns are the absolute difference to the whole recording.",
        "",
        "| window (s) | overlap (s) | whole (dB) | windows (dB) | mean difference | largest |",
        "|---|---|---|---|---|---|",
    ]
    for window, overlap in WINDOWS:
        rows = [r for r in final["windows"] if r["window"] == window]
        whole, est = (np.array([r[key] for r in rows]) for key in ("whole", "windows"))
        apart = np.abs(est - whole)
        lines.append(
            f"| {window} | {overlap} | {whole.mean():.2f} | {est.mean():.2f} | {apart.mean():.2f} |"
            f" {apart.max():.2f} |"
        )
    if "hour" in final:
        h = final["hour"]
        lines += [
            "",
            f"One hour, {h['windows']} windows of 30 s: {h['peak_rss_bytes'] / 1e6:.0f} MB at most"
            f" (resident, with Python and PyTorch), real-time factor {h['real_time_factor']:.3f}"
            f" on {os.cpu_count()} cores at a load average of {h['load_average']:.0f}.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
