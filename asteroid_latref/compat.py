"""The one place that knows what today's torch stack breaks in Asteroid 0.7."""

import sys
import types


def stand_in_for_torchaudio_extension() -> None:
    """Make torchaudio importable when its compiled part was built for another torch."""
    try:
        import torchaudio  # noqa: F401
    except (OSError, RuntimeError, ImportError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        stub = types.ModuleType("torchaudio._extension")
        stub._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
        stub._IS_RIR_AVAILABLE = False  # type: ignore[attr-defined]
        stub._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
        stub.fail_if_no_align = lambda f: f  # type: ignore[attr-defined]
        stub.lazy_import_sox_ext = lambda: None  # type: ignore[attr-defined]
        sys.modules["torchaudio._extension"] = stub
        import torchaudio  # noqa: F401


def apply() -> None:
    """Apply the repairs whose symptom is there."""
    stand_in_for_torchaudio_extension()
