"""The README shows what was measured and what its example prints, and nothing written by hand."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_generated_blocks_are_what_the_script_writes():
    spec = importlib.util.spec_from_file_location("fill_readme", ROOT / "docs/fill_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text()
    assert module.fill(readme) == readme, "run make readme"
