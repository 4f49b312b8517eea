"""Sphere files, as WSJ0 is delivered, to wav."""

import os
import shutil
import subprocess
from pathlib import Path

from tqdm import tqdm

from ..audio import audio_info, read_audio, write_audio
from ..errors import LatrefError
from ..files import atomic_path

_HEADER = 1024  # bytes
_SUFFIXES = (".wv1", ".sph")  # .wv2 is the second microphone, which no mixture uses


def is_shortened(path: str | os.PathLike[str]) -> bool:
    """True if the samples are compressed with shorten, which libsndfile does not read.

    Raises:
        LatrefError: not a sphere file.
    """
    with open(path, "rb") as file:
        header = file.read(_HEADER)
    if not header.startswith(b"NIST_1A"):
        raise LatrefError(f"{path}: not a sphere file (it does not begin with NIST_1A)")
    fields = header.decode("latin-1").split("end_head")[0].splitlines()
    return any(line.startswith("sample_coding") and "shorten" in line for line in fields)


def convert_sphere(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Converts one file to 16-bit wav.

    Raises:
        LatrefError: not a readable sphere file, or compressed and ``sph2pipe`` is not installed.
    """
    if not is_shortened(source):
        wav, rate = read_audio(source)
        write_audio(target, wav, rate)
        return
    tool = shutil.which("sph2pipe")
    if tool is None:
        raise LatrefError(
            f"{source}: compressed with shorten; put sph2pipe on the PATH "
            "(https://github.com/burrmill/sph2pipe) and run again"
        )
    with atomic_path(target) as tmp:
        command = [tool, "-f", "wav", str(source), str(tmp)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise LatrefError(f"{source}: sph2pipe failed ({lines[-1]})")
        audio_info(tmp)


def convert_wsj0(
    wsj0_dir: str | os.PathLike[str], out_dir: str | os.PathLike[str], progress: bool = True
) -> int:
    """Converts WSJ0 as delivered to the layout WHAM!'s scripts read: ``out_dir/wsj0/.../*.wav``.

    Files that are there already are left alone.

    Args:
        wsj0_dir: holds sphere files below folders called ``wsj0``, in whatever number of discs.
        out_dir: where to.
        progress: whether to show a bar.

    Returns:
        Number of sphere files, each of which has its wav file now.

    Raises:
        LatrefError: no sphere files below ``wsj0_dir``, or one cannot be converted.
    """
    root = Path(wsj0_dir).resolve()
    if not root.is_dir():
        raise LatrefError(f"{wsj0_dir}: no such folder (wsj0_dir)")
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise LatrefError(f"{wsj0_dir}: holds no sphere files ({', '.join(_SUFFIXES)})")
    for path in tqdm(files, "sphere files", disable=not progress):
        target = Path(out_dir, "wsj0", _below_wsj0(path, root)).with_suffix(".wav")
        if not target.is_file():
            convert_sphere(path, target)
    return len(files)


def _below_wsj0(path: Path, root: Path) -> Path:
    """The path below the folder called ``wsj0``, or below ``root`` where none is."""
    parts = path.parts
    named = [i for i, part in enumerate(parts[:-1]) if part.lower() == "wsj0"]
    return Path(*parts[named[-1] + 1 :]) if named else path.relative_to(root)
