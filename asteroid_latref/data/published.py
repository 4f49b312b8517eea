"""WHAM! as published: its own scripts mix WSJ0 and its noise recordings.

Nothing of the mixing is done anew here, so the result is the published corpus and not one like it.
"""

import io
import os
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from ..errors import LatrefError
from ..files import atomic_dir
from .layout import FOLDERS, SPLITS, wav_folder

_URL = "https://storage.googleapis.com/whisper-public/wham_scripts.tar.gz"
_SCRIPT = "create_wham_from_scratch.py"
_N_ITEMS = {"tr": 20000, "cv": 5000, "tt": 3000}


def mix_wham(
    wsj0_wav_dir: str | os.PathLike[str],
    wham_noise_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    scripts_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Runs WHAM!'s ``create_wham_from_scratch.py``, unless its output is complete.

    Args:
        wsj0_wav_dir: holds ``wsj0``, as wav.
        wham_noise_dir: noise as downloaded, with folders ``tr``, ``cv``, ``tt``, ``metadata``.
        out_dir: where ``wav8k`` and ``wav16k`` go (about 400 GB).
        scripts_dir: the unpacked ``wham_scripts``. None downloads them to ``out_dir``.

    Raises:
        LatrefError: a folder is not what it should be, the scripts are out of reach, or they fail.
    """
    out, noise, wsj0 = (Path(p).resolve() for p in (out_dir, wham_noise_dir, wsj0_wav_dir))
    if is_complete(out):
        return
    _check_folder(wsj0, ("wsj0",), "wsj0_dir")
    _check_folder(noise, (*SPLITS, "metadata"), "wham_noise_dir")
    scripts = _get_scripts(out) if scripts_dir is None else Path(scripts_dir).resolve()
    if not (scripts / _SCRIPT).is_file():
        raise LatrefError(f"{scripts}: holds no {_SCRIPT} (wham_scripts_dir)")
    command = [
        sys.executable,
        _SCRIPT,
        f"--wsj0-root={wsj0}",
        f"--wham-noise-root={noise}",
        f"--output-dir={out}",
    ]
    # Its tables are found relative to the folder it is started in.
    done = subprocess.run(command, cwd=scripts, check=False)
    if done.returncode != 0:
        raise LatrefError(f"{scripts / _SCRIPT}: failed with status {done.returncode}, see above")


def is_complete(wham_dir: str | os.PathLike[str]) -> bool:
    """True if every folder of the 8 kHz min corpus has as many files as were published."""
    root = Path(wham_dir, wav_folder(8000, "min"))
    return all(
        (root / split / folder).is_dir() and len(os.listdir(root / split / folder)) >= n_items
        for split, n_items in _N_ITEMS.items()
        for folder in FOLDERS
    )


def _check_folder(folder: Path, wanted: tuple[str, ...], option: str) -> None:
    missing = [name for name in wanted if not (folder / name).is_dir()]
    if missing:
        raise LatrefError(f"{folder}: holds no folder {', '.join(missing)} ({option})")


def _get_scripts(out: Path) -> Path:
    folder = out / "wham_scripts"
    if folder.is_dir():
        return folder
    try:
        with urllib.request.urlopen(_URL, timeout=60) as answer:
            archive = answer.read()
        with atomic_dir(folder) as tmp, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar.getmembers():
                parts = Path(member.name).parts[1:]
                if member.isfile() and parts and ".." not in parts:
                    target = tmp.joinpath(*parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    extracted = tar.extractfile(member)
                    if extracted is not None:
                        target.write_bytes(extracted.read())
    except (urllib.error.URLError, TimeoutError, tarfile.TarError) as err:
        raise LatrefError(
            f"{_URL}: cannot be fetched ({err}); unpack it yourself and give --wham_scripts_dir"
        ) from None
    return folder
