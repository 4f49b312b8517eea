"""What the package imports is declared, what is declared is pinned, and nothing else is needed."""

import ast
import configparser
import importlib.metadata
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "asteroid_latref"
ASKED_FOR = {"torchaudio", "pkg_resources"}  # compat.py asks whether they are there


def requirements(section: str, option: str) -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config[section][option].splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def declared() -> list[Requirement]:
    return requirements("options", "install_requires")


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def imported(folder: Path) -> set[str]:
    """Top-level names of everything that the files in ``folder`` import."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {PACKAGE.name}


def test_every_import_is_declared():
    providers = importlib.metadata.packages_distributions()
    known = {canonicalize_name(r.name) for r in declared()}
    undeclared = {
        name
        for name in imported(PACKAGE) - ASKED_FOR
        if not known & {canonicalize_name(d) for d in providers.get(name, [])}
    }
    assert undeclared == set()


@pytest.mark.parametrize("extra", ["", "tests", "docs", "export", "lint"])
def test_the_lock_pins_what_is_declared(extra):
    wanted = requirements("options.extras_require", extra) if extra else declared()
    pins = pinned()
    assert wanted
    for requirement in wanted:
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_is_for_any_build_and_any_index():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if "+" in line or "://" in line or line.startswith("-")]
    assert pinned()["torch"] == "2.13.0"


def test_console_script_is_there():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="latref")
    assert callable(script.load())
