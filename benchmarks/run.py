"""Speed and memory beside Asteroid and beside the bare matrix products (``make bench``).

    python -m benchmarks.run [--quick] [--device cuda] [--threads 2]

Every section runs in a process of its own, contestants in turns. The timings are taken twice: as
the C library manages memory by default, and with ``keep_freed_memory()`` and large pages
(``THP_MEM_ALLOC_ENABLE=1``); both apply to all contestants alike. Writes
``docs/results/performance.json``, from which ``benchmarks.speed_pages`` makes the tables and
pictures of the page on performance.
"""

import argparse
import platform
import time
from pathlib import Path

import torch

from asteroid_latref import __version__
from asteroid_latref.files import write_json

from . import speed_pages
from .measuring import processor
from .speed_sections import in_child

DOCS = Path(__file__).parents[1] / "docs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute, for a first impression")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: docs/results; --quick: nowhere")
    args = parser.parse_args()
    name = "performance" if args.device == "cpu" else f"performance_{args.device}"
    out = args.out or (None if args.quick else DOCS / "results" / f"{name}.json")
    found = measure(args)
    print(speed_pages.summary(found))
    if out is not None:
        write_json(out, found)
        print(f"wrote {out}")
    if out is not None and out.parent == DOCS / "results":
        speed_pages.write(found, out)


def measure(args):
    flags = ["--device", args.device, "--threads", str(args.threads)]
    flags += ["--quick"] if args.quick else []
    kept = [*flags, "--keep_memory"]
    start = time.time()
    found = {
        "default": {s: in_child(s, flags) for s in ("inference", "training")},
        "kept": {s: in_child(s, kept) for s in ("inference", "training")},
    }
    for section in ("others", "length", "iterations", "choices", "hour"):
        found[section] = in_child(section, kept)
    found["saved_bytes"] = in_child("saved_bytes", flags)
    if args.device == "cpu":
        found["peak"] = in_child("peak", flags)
    return found | {"circumstances": circumstances(args), "minutes": (time.time() - start) / 60}


def circumstances(args):
    return {
        "processor": processor(),
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "threads": args.threads,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "asteroid_latref": __version__,
        "quick": args.quick,
    }


if __name__ == "__main__":
    main()
