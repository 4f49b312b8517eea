"""Training memory of progressive against end-to-end training: the seven rows of LIR's Table 2.

    python -m benchmarks.table2 [--device cuda --batch 4] [--results egs/wham/exp]

Per step: bytes that autograd saves for the backward pass, and the peak of one training step
(``max_memory_allocated`` on a GPU, counted tensor by tensor on a CPU). Both are the same on every
run. A row's SI-SDRi comes from an evaluated experiment named after it (``2x4x2``, ``1x16x1``…)
under ``--results``; where there is none, the table says so.
"""

import argparse
import json
from pathlib import Path

import torch

from asteroid_latref import IterSudoRmRf
from asteroid_latref.files import atomic_path, write_json
from asteroid_latref.losses import SlotPITLoss
from asteroid_latref.profile import peak_allocated
from asteroid_latref.saved import saved_for_backward

END_TO_END = (1, 16, 1)
# Blocks, sub-blocks, iterations: 16 U-ConvBlock applications each.
ROWS = [(2, 8, 1), (2, 4, 2), (2, 2, 4), (4, 4, 1), (4, 2, 2), (4, 1, 4), END_TO_END]
N_SRC, N_SPEECH, RATE = 3, 2, 8000


def measure(row, seconds, batch, device):
    """One record per step of a row: what is trained and what it takes."""
    n_blocks, n_sub_blocks, n_iters = row
    torch.manual_seed(0)
    args = {"n_src": N_SRC, "n_sub_blocks": n_sub_blocks, "n_iters": n_iters, "exits": "all"}
    model = IterSudoRmRf(**args).to(device)
    steps = []
    for step in range(1, n_blocks + 1):
        if step > 1:
            model = model.grow().freeze_before_last()
        steps.append({"step": step, **measure_step(model, seconds, batch, device)})
    return steps


def measure_step(model, seconds, batch, device):
    wav = torch.randn(batch, int(seconds * RATE), device=device)
    targets = torch.randn(batch, N_SRC, wav.shape[-1], device=device)
    loss = SlotPITLoss(N_SPEECH)
    trained = [p for p in model.parameters() if p.requires_grad]
    saved = saved_for_backward(model, lambda: loss(model(wav), targets))
    peak = peak_allocated(lambda: loss(model(wav), targets).backward(), torch.device(device))
    model.zero_grad(set_to_none=True)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in trained),
        "saved_bytes": saved,
        "peak_bytes": peak,
    }


def quality(results, row):
    """SI-SDRi of an evaluated experiment named after the row, or None."""
    path = results / "x".join(map(str, row)) / "final_metrics.json" if results else None
    if path is None or not path.is_file():
        return None
    final = json.loads(path.read_text())
    return {key: final[key] for key in ("si_sdr_imp", "n_items")}


def as_markdown(table):
    """The table of the documentation."""
    base = table["rows"][-1]["steps"][0]
    lines = [
        "| blocks × sub-blocks × iterations | training | parameters | saved for backward, MiB"
        " (each step) | relative to 1×16 | peak of a training step, MiB | relative | SI-SDRi |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table["rows"]:
        steps = row["steps"]
        saved, peak = ([s[key] for s in steps] for key in ("saved_bytes", "peak_bytes"))
        cells = [
            "×".join(map(str, row["row"])),
            "end to end" if len(steps) == 1 else f"{len(steps)} steps",
            f"{steps[-1]['parameters'] / 1e6:.2f} M",
            ", ".join(f"{s / 2**20:.0f}" for s in saved),
            f"{max(saved) / base['saved_bytes']:.3f}",
            f"{max(peak) / 2**20:.0f}",
            f"{max(peak) / base['peak_bytes']:.3f}",
            "not trained" if row["quality"] is None else f"{row['quality']['si_sdr_imp']:.2f} dB",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Batch of {table['batch']}, {table['seconds']:g} s at {RATE} Hz, {N_SRC} outputs, float32,"
        f" {table['device_name']}, PyTorch {table['torch']}. Relative figures take the step that"
        " needs most. Parameters: with every exit, as stored.",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--results", type=Path, help="folder with evaluated experiments")
    parser.add_argument("--out", type=Path, default=Path("docs/results/table2.json"))
    args = parser.parse_args()
    cuda = args.device.startswith("cuda")
    table = {
        "device": args.device,
        "device_name": torch.cuda.get_device_name() if cuda else "CPU",
        "torch": str(torch.__version__),
        "batch": args.batch,
        "seconds": args.seconds,
        "rows": [],
    }
    for row in ROWS:
        print("×".join(map(str, row)), flush=True)
        steps = measure(row, args.seconds, args.batch, args.device)
        table["rows"].append(
            {"row": list(row), "steps": steps, "quality": quality(args.results, row)}
        )
    write_json(args.out, table)
    with atomic_path(args.out.with_suffix(".inc")) as tmp:
        tmp.write_text(as_markdown(table))
    print(as_markdown(table))


if __name__ == "__main__":
    main()
