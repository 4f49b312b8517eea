"""The trained models that come with the package: where they lie, found by name, offline."""

from pathlib import Path

from .errors import LatrefError

#: One folder per model, and the mixtures of ``latref demo``.
WEIGHTS_DIR = Path(__file__).parent / "weights"
PREFIX = "latref/"
MODEL_FILE = "model.pth"
CARD_FILE = "README.md"
EXAMPLES = "examples"


def bundled_names() -> list[str]:
    """Names of the bundled models, without :data:`PREFIX`, sorted.

    Examples:
        >>> bundled_names() == sorted(bundled_names())
        True
    """
    names = (path.parent.name for path in WEIGHTS_DIR.glob(f"*/{MODEL_FILE}"))
    return sorted(name for name in names if not name.startswith("."))  # half-written ones


def is_bundled_id(source: object) -> bool:
    """Whether ``source`` can mean a bundled model only: ``latref/...`` that is no local path.

    The prefix is never asked of the hub. What is there under that path wins, as over a hub id.

    Examples:
        >>> is_bundled_id("latref/enh-scalable-8k"), is_bundled_id("user/model")
        (True, False)
    """
    return isinstance(source, str) and source.startswith(PREFIX) and not Path(source).exists()


def bundled_file(source: str) -> Path:
    """The file of the bundled model ``latref/NAME``.

    Raises:
        LatrefError: there is none of that name; the message lists those there are.
    """
    name = source.removeprefix(PREFIX)
    if name in bundled_names():
        return WEIGHTS_DIR / name / MODEL_FILE
    there = ", ".join(PREFIX + known for known in bundled_names()) or "none in this copy"
    revision = "; bundled models have no revisions" if "@" in name else ""
    raise LatrefError(f"{source}: no such bundled model; there are: {there}{revision}")
