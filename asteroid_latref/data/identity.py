"""Whether a corpus that is there is the one that is wanted."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..audio import list_audio
from ..errors import LatrefError
from .licenses import CORPUS_FILE
from .splits import Folders, each


def identity(
    version: int,
    name: str,
    options: Any,
    speech_dir: Folders,
    noise_dir: Folders,
) -> dict[str, Any]:
    """What makes two corpora the same one, as JSON gives it back."""
    return {
        "format": version,
        "name": name,
        **json.loads(json.dumps(asdict(options))),
        "speech": _fingerprint(speech_dir),
        "noise": _fingerprint(noise_dir),
    }


def _fingerprint(folders: Folders) -> str:
    """Digest of the names and sizes of the folders' recordings."""
    digest = hashlib.sha256()
    for folder in each(folders):
        for path in list_audio(folder):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def is_finished(out: Path, wanted: dict[str, Any]) -> bool:
    """True for a finished corpus of these options, False where there is still work."""
    path = out / CORPUS_FILE
    if not path.is_file():
        return False
    try:
        corpus = json.loads(path.read_text())
        options = dict(corpus["options"])
        complete = bool(corpus["complete"])
    except (ValueError, TypeError, KeyError):
        raise LatrefError(f"{path}: not a corpus description; remove {out} and run again") from None
    for key, value in wanted.items():
        if options.get(key) != value:
            was = f"{key} {options.get(key)}, not {value}"
            if key in ("speech", "noise"):
                was = f"other {key} recordings"
            raise LatrefError(
                f"{out}: was built with {was}; choose another folder (corpus_dir) or remove it"
            )
    return complete
