"""What deciding costs: a gated batch of mixed steps against the same steps run without a gate.

    python -m benchmarks.gate_cost [--out FILE.json] [--threads 2]

A model of the paper's size, eight inputs of four seconds. The gate computes all it has to, then
lets them pass one, two, three or four steps by a script. The other side knows the steps beforehand:
inputs of equal steps form one batch that is run for just that many iterations. Both are timed in
turn, in one process.
"""

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from asteroid_latref import GatedSudoRmRf
from asteroid_latref.files import atomic_path, write_json
from asteroid_latref.masknn.gate import Gate

RATE, SECONDS, MAX_ITERS = 8000, 4, 4
STEPS = [4, 1, 3, 2, 2, 4, 1, 3]


class ScriptedGate(Gate):
    """Computes what a gate computes, and then decides what the script says."""

    def __init__(self, gate, steps):
        super().__init__(gate.reduce[0].in_channels, gate.judge.kernel_size[0])
        self.steps, self.left, self.queue = steps, None, None

    def restart(self):
        self.left = torch.tensor(self.steps)
        # Where a batch runs example by example, the decisions on one precede those on the next.
        alone = [[1.0] * n + [0.0] * (n < MAX_ITERS) for n in self.steps]
        self.queue = itertools.chain.from_iterable(alone)

    def forward(self, latent):
        margin = self.margin(latent)
        if len(margin) == 1 < len(self.left):
            return 0 * margin + next(self.queue)
        going = (self.left > 0).to(margin.dtype) + 0 * margin
        self.left = self.left[going.bool()] - 1
        return going


def table(record):
    lines = ["| | GFLOP | fastest (s) | median (s) |", "|---|---|---|---|"]
    for name, flops in record["gigaflops"].items():
        times = record["fastest"][name], record["seconds"][name][1]
        lines.append(f"| {name} | {flops:.2f} | {times[0]:.2f} | {times[1]:.2f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = GatedSudoRmRf(n_src=2, max_iters=MAX_ITERS).eval()
    with torch.inference_mode():
        wav = torch.randn(len(STEPS), RATE * SECONDS)
        gate = model.masker.gate = ScriptedGate(model.masker.gate, STEPS).eval()
        groups = {n: wav[[i for i, m in enumerate(STEPS) if m == n]] for n in sorted(set(STEPS))}

        def gated():
            gate.restart()
            return model.separate_with_steps(wav)

        sides = {
            "gated": gated,
            "static": lambda: [model(w, n_iters=n) for n, w in groups.items()],
            "all four": lambda: model(wav, n_iters=4),
        }
        assert gated()[1].int().tolist() == STEPS
        flops = {}
        for name, call in sides.items():
            with FlopCounterMode(display=False) as counter:
                call()
            flops[name] = counter.get_total_flops()
        times = {name: [] for name in sides}
        for _ in range(args.repeats):
            for name, call in sides.items():
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    record = {
        "steps": STEPS,
        "threads": args.threads,
        "torch": str(torch.__version__),
        "seconds": {name: statistics.quantiles(t, n=4) for name, t in times.items()},
        "gigaflops": {name: n / 1e9 for name, n in flops.items()},
    }
    medians = {name: t[1] for name, t in record["seconds"].items()}
    fastest = {name: min(t) for name, t in times.items()}
    record["fastest"] = fastest
    record["ratio_of_medians"] = medians["gated"] / medians["static"]
    record["ratio_of_fastest"] = fastest["gated"] / fastest["static"]
    if args.out:
        write_json(args.out, record)
        with atomic_path(Path(args.out).with_suffix(".inc")) as tmp:
            tmp.write_text(table(record) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
