"""``python local/bundle.py --exp_dir exp/TAG --name NAME --command "./run.sh ..."``: ship a model.

Writes the package's ``weights/NAME``, the model's golden outputs and the table in the docs.
"""

import sys
from pathlib import Path

from asteroid_latref.bundling import main

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[3]
    given = ["--golden_dir", str(root / "tests/golden")]
    given += ["--table", str(root / "docs/results/bundled.inc")]
    sys.exit(main([*given, *sys.argv[1:]]))
