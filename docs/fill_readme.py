"""Fills README.md's generated blocks: ``python docs/fill_readme.py`` (``make readme``).

A block is what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``. Figures come from the files
in ``docs/results``, which ``--record EXP_DIR`` copies from an evaluated experiment; the Python
example is run here, and what it prints is what the README shows.
"""

import argparse
import contextlib
import io
import json
import re
import sys
from pathlib import Path

from PIL import Image

import asteroid_latref  # noqa: F401  # first: its repairs
from asteroid_latref.evaluate import format_table
from asteroid_latref.files import atomic_path, write_json

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
RESULTS = DOCS / "results"
NOT_RUN = "*Not run yet.*"
PICTURE = DOCS / "images" / "demo.png"


def record(exp_dir, name):
    """Copies the figures of an experiment, and the spectrogram that shows most, for the demo."""
    final = json.loads((exp_dir / "final_metrics.json").read_text())
    write_json(RESULTS / f"{name}.json", final)
    if name == "demo":
        examples = {p.parent: json.loads(p.read_text()) for p in exp_dir.glob("examples/*/*.json")}
        best = max(examples, key=lambda folder: examples[folder]["si_sdr_imp"])
        with atomic_path(PICTURE) as tmp, Image.open(best / "spectrogram.png") as picture:
            picture.convert("RGB").quantize(48).save(tmp, optimize=True)


def demo_block(_):
    """The table that the demo ended with."""
    if not (RESULTS / "demo.json").exists():
        return NOT_RUN
    final = json.loads((RESULTS / "demo.json").read_text())
    conf, versions = final["conf"], final["versions"]
    how = (
        f"Trained for {conf['training']['epochs']} epochs with seed {conf['training']['seed']} on"
        f" {final['device'].upper()}, PyTorch {versions['torch']}."
    )
    return f"{format_table(final)}\n\n{how}"


def example_block(readme):
    """What the README's first Python block prints."""
    code = re.search(r"```python\n(.*?)```", readme, flags=re.S).group(1)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return f"```text\n{out.getvalue().rstrip()}\n```"


def tests_block(_):
    """The last line of the test suite."""
    if not (RESULTS / "tests.txt").exists():
        return NOT_RUN
    return f"```text\n{(RESULTS / 'tests.txt').read_text().strip()}\n```"


def included(name):
    """What a file of ``docs/results`` holds."""
    path = RESULTS / name
    return path.read_text().strip() if path.exists() else NOT_RUN


BLOCKS = {
    "bundled": lambda _: included("bundled.inc"),
    "study": lambda _: included("study_readme.inc"),
    "demo": demo_block,
    "example": example_block,
    "tests": tests_block,
}


def fill(readme):
    """``readme`` with every block written anew."""
    for name, make in BLOCKS.items():
        pattern = rf"(<!-- {name}\b[^>]*-->\n).*?(<!-- /{name} -->)"
        if not re.search(pattern, readme, flags=re.S):
            sys.exit(f"error: README.md has no block {name}")
        text = make(readme)
        readme = re.sub(pattern, lambda m, t=text: f"{m[1]}{t}\n{m[2]}", readme, flags=re.S)
    return readme


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, metavar="EXP_DIR", help="experiment to copy from")
    parser.add_argument("--name", default="demo", help="name of its figures in docs/results")
    parser.add_argument("--check", action="store_true", help="fail if README.md would change")
    args = parser.parse_args()
    if args.record:
        record(args.record, args.name)
    filled = fill(README.read_text())
    if args.check and filled != README.read_text():
        sys.exit("error: README.md is out of date; run python docs/fill_readme.py")
    with atomic_path(README) as tmp:
        tmp.write_text(filled)
