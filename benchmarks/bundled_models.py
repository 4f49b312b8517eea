"""The models that come with the package, on the study's test set, beside what was trained for it.

python -m benchmarks.bundled_models --json_dir egs/wham/data/reference/json
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

from asteroid_latref import depth, gating
from asteroid_latref.bundled import PREFIX, bundled_names
from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.errors import one_line_errors
from asteroid_latref.files import atomic_path, write_json
from asteroid_latref.models import GatedSudoRmRf, LatentRefinementModel
from asteroid_latref.models.serialization import load_conf

from .measuring import hardware, measure, real_time_factors, versions
from .study_runs import mean_macs

OUT = Path(__file__).parents[1] / "docs/results/study_bundled.json"


def record(name, json_dir, n_items=None):
    """The same record as of a run of the study, as far as it applies."""
    conf = load_conf(PREFIX + name)
    model = LatentRefinementModel.from_pretrained(conf).eval()
    run = conf["infos"]["training_run"]
    test_set = WhamDataset(json_dir / "tt", conf["task"], int(model.sample_rate), segment=None)
    with tempfile.TemporaryDirectory() as folder:
        row = {"state": "", **measure(Path(folder), test_set, model, n_items)}
    for one, factor in zip(row["exits"], real_time_factors(model, test_set), strict=True):
        one["real_time_factor"] = factor
    found = {
        "name": f"bundled/{name}",
        "group": "bundled",
        "what": f"{PREFIX}{name}",
        "seed": run["seeds"]["training"],
        "task": conf["task"],
        "data": test_set.get_infos()["dataset"],
        "conf": {"model": {"name": conf["model_name"], **conf["model_args"]}},
        "steps": run["stages"],
        "versions": versions(),
        "hardware": hardware(),
        "n_items": row["n_items"],
        "results": [row],
    }
    if isinstance(model, GatedSudoRmRf):
        found["gate"] = gating.summarize(gating.measure(model, test_set, n_items))
        row["exits"][-1]["macs_per_second"] = mean_macs(model, found["gate"]["shares"])
    return found


def keep_depth(exp_dir, out):
    """Copies the figures of :mod:`asteroid_latref.depth`, and their table beside them."""
    found = json.loads((exp_dir / depth.DEPTH).read_text())
    found = {key: found[key] for key in ("curves", "storage")}
    _write(out, found, depth.format_table(found))


def keep_gate(exp_dir, out):
    """Copies the figures of :mod:`asteroid_latref.gating`, and their table beside them."""
    found = json.loads((exp_dir / gating.SUMMARY).read_text())
    found = {key: found[key] for key in ("models", "curve")}
    _write(out, found, gating.format_table(found["models"]))


def _write(out, found, table):
    write_json(out, found)
    with atomic_path(out.with_suffix(".inc")) as tmp:
        tmp.write_text(table + "\n")


@one_line_errors
def main(argv=None):
    """Measures them all."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--json_dir", required=True, type=Path, help="manifests (stage 2)")
    parser.add_argument("--n_items", type=int, help="test mixtures; default: all")
    parser.add_argument("--grown", type=Path, help="experiment with depth.json (stage 4)")
    parser.add_argument("--gated", type=Path, help="experiment with gating.json (stage 4)")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.grown:
        keep_depth(args.grown, args.out.with_name("bundled_grown.json"))
    if args.gated:
        keep_gate(args.gated, args.out.with_name("bundled_gate.json"))
    runs = []
    for name in bundled_names():
        runs.append(record(name, args.json_dir, args.n_items))
        quality = [f"{one['si_sdr_imp']:.2f}" for one in runs[-1]["results"][0]["exits"]]
        print(f"{name}: {', '.join(quality)} dB")
    write_json(args.out, {"runs": runs})
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
