"""Who recorded what, and under which licence it may be used: the credits a model must carry."""

import json
import os
from pathlib import Path
from typing import Any

from ..errors import LatrefError

#: Written beside the mixtures and copied beside the manifests.
CORPUS_FILE = "corpus.json"

#: Folder beside it, of the recordings to mix anew in training.
POOL = "pool"

#: Read from the folders that are mixed.
LICENSES_FILE = "licenses.json"

#: The keys Asteroid's publisher reads.
LICENSE_KEYS = (
    "title",
    "title_link",
    "author",
    "author_link",
    "license",
    "license_link",
    "non_commercial",
)


def license_dict(
    title: str,
    title_link: str,
    author: str,
    author_link: str,
    license: tuple[str, str],
    non_commercial: bool = False,
) -> dict[str, Any]:
    """One credit in the form Asteroid's publisher wants; ``license`` is its name and its link."""
    values = (title, title_link, author, author_link, *license, non_commercial)
    return dict(zip(LICENSE_KEYS, values, strict=True))


#: WHAM! as published: speech from WSJ0, noise recorded for it.
WHAM_LICENSES: dict[str, list[dict[str, Any]]] = {
    "speech": [
        license_dict(
            "CSR-I (WSJ0) Complete",
            "https://catalog.ldc.upenn.edu/LDC93S6A",
            "LDC",
            "https://www.ldc.upenn.edu/",
            (
                "LDC User Agreement for Non-Members",
                "https://catalog.ldc.upenn.edu/license/ldc-non-members-agreement.pdf",
            ),
            non_commercial=True,
        )
    ],
    "noise": [
        license_dict(
            "The WSJ0 Hipster Ambient Mixtures dataset",
            "http://wham.whisper.ai/",
            "Whisper.ai",
            "https://whisper.ai/",
            ("CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
            non_commercial=True,
        )
    ],
}


def read_licenses(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The credits of a folder of recordings, from its ``licenses.json``.

    Without that file the recordings are credited by the folder's name, as not to be used
    commercially, for nothing says that they may.

    Raises:
        LatrefError: the file is no list of licence dicts.
    """
    path = Path(folder) / LICENSES_FILE
    if not path.is_file():
        unknown = ("not stated", "")
        return [license_dict(Path(folder).resolve().name, "", "unknown", "", unknown, True)]
    try:
        credits = json.loads(path.read_text())
        _check_credits(path, credits)
    except (ValueError, TypeError, AttributeError) as err:
        if isinstance(err, LatrefError):
            raise
        raise LatrefError(f"{path}: not a list of licences ({err})") from None
    return credits


def read_corpus_file(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The corpus file in ``folder``: name and licences, or None where there is none (WHAM!).

    Raises:
        LatrefError: the file is not what :mod:`asteroid_latref.data.open_corpus` writes.
    """
    path = Path(folder) / CORPUS_FILE
    if not path.is_file():
        return None
    try:
        corpus = json.loads(path.read_text())
        str(corpus["name"])
        for kind in ("speech", "noise"):
            _check_credits(path, corpus["licenses"][kind])
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        if isinstance(err, LatrefError):
            raise
        raise LatrefError(f"{path}: not a corpus description; run stage 2 again") from None
    return corpus


def _check_credits(path: Path, credits: list[dict[str, Any]]) -> None:
    for credit in credits:
        missing = set(LICENSE_KEYS) - credit.keys()
        if missing:
            raise LatrefError(f"{path}: a licence lacks {', '.join(sorted(missing))}")
