"""Fetches the recordings of the open corpus from Debian: ``apt-get download`` and ``dpkg -x``.

Neither needs root. Package lists are the system's; where there are none, private ones are fetched.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..audio import AUDIO_SUFFIXES, audio_info
from ..errors import LatrefError
from ..files import atomic_dir, write_error, write_json
from .debian_sources import MUSIC, NOT_SPEECH, VOICES, Source
from .licenses import LICENSES_FILE

_INSTEAD = "give your own recordings with --speech_dir and --noise_dir instead"
_FORMAT = 1  # raised when the same packages would be laid out differently


def default_cache() -> Path:
    """The user's cache folder of this package, ``$XDG_CACHE_HOME`` respected."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "asteroid_latref"


def fetch_recordings(
    cache_dir: str | os.PathLike[str] | None = None, progress: bool = True
) -> tuple[Path, Path]:
    """Brings voices and music into the cache, unless they are there.

    Args:
        cache_dir: where packages and recordings are kept. None: see :func:`default_cache`.
        progress: whether to show a bar.

    Returns:
        A folder of speech, ``{tr,cv,tt}/{speaker}/``, and one of music, ``{tr,cv,tt}/{artist}/``,
        each with its ``licenses.json``: what ``build_corpus`` takes.

    Raises:
        LatrefError: no apt here, packages unknown or out of reach, a checksum that does not match,
            or no space left.
    """
    cache = Path(cache_dir) if cache_dir is not None else default_cache()
    tree = cache / f"debian-voices-{_FORMAT}"
    if not tree.is_dir():
        packages = sorted({p for source in (*VOICES, *MUSIC) for p in source.packages})
        debs = _download(packages, cache, progress)
        with atomic_dir(tree) as tmp:
            _lay_out(debs, tmp)
    return tree / "speech", tree / "music"


def _download(packages: Sequence[str], cache: Path, progress: bool) -> dict[str, Path]:
    """The packages' files in the cache, each with the checksum that apt's signed lists tell."""
    for tool in ("apt-get", "apt-cache", "dpkg"):
        if shutil.which(tool) is None:
            raise LatrefError(
                f"{tool} is not here, and the open corpus comes from Debian; {_INSTEAD}"
            )
    folder = cache / "packages"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise write_error(folder, err) from err
    options, records = _find(packages, cache)
    paths = {p: folder / f"{p}_{_quote(records[p]['Version'])}_all.deb" for p in packages}
    missing = [p for p in packages if not _is_genuine(paths[p], records[p])]
    for package in missing:
        paths[package].unlink(missing_ok=True)
    if missing:
        try:
            _get([paths[p] for p in missing], missing, options, records, progress)
        finally:
            damaged = [p for p in missing if not _is_genuine(paths[p], records[p])]
            for package in damaged:
                paths[package].unlink(missing_ok=True)
        if damaged:
            raise LatrefError(f"package {damaged[0]}: came in damaged; run again, or {_INSTEAD}")
    return paths


def _get(
    paths: list[Path],
    packages: list[str],
    options: list[str],
    records: dict[str, dict[str, str]],
    progress: bool,
) -> None:
    size = sum(int(records[package].get("Size", 0)) for package in packages)
    with tqdm(total=size, desc="packages", unit="B", unit_scale=True, disable=not progress) as bar:
        command = ["apt-get", *options, "-q", "download", *packages]
        _run(command, paths[0].parent, lambda: bar.update(sum(map(_size, paths)) - bar.n))


def _find(packages: Sequence[str], cache: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Options for apt, and what it knows about each package: from the system's lists or our own."""
    records = _records(packages, [])
    if len(records) == len(packages):
        return [], records
    apt = cache / "apt"
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    options = [
        f"-oDir::State::lists={apt / 'lists'}",
        f"-oDir::Cache={apt}",
        "-oDebug::NoLocking=1",
    ]
    print("apt knows not all packages of the open corpus: fetching package lists into the cache")
    _run(["apt-get", *options, "-q", "update"], cache)
    records = _records(packages, options)
    unknown = sorted(set(packages) - set(records))
    if unknown:
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise LatrefError(
            f"apt knows no package {unknown[0]}{others}, nor could lists that have it be fetched; "
            f"run 'apt-get update' as root, or {_INSTEAD}"
        )
    return options, records


def _records(packages: Sequence[str], options: Sequence[str]) -> dict[str, dict[str, str]]:
    """Version, checksum and so on per package; packages that apt does not know are left out."""
    command = ["apt-cache", *options, "--no-all-versions", "show", *packages]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    records = {}
    for block in shown.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(" ")]
        record = dict(line.split(": ", 1) for line in lines if ": " in line)
        if {"Package", "Version", "SHA256"} <= record.keys():
            records[record["Package"]] = record
    return records


def _lay_out(debs: dict[str, Path], root: Path) -> None:
    """Unpacks and sorts: ``speech/split/voice/``, ``music/split/artist/``, licences, checksums."""
    (root / "unpacked").mkdir()
    for package, deb in debs.items():
        _run(["dpkg", "-x", str(deb), str(root / "unpacked" / package)], root)
    for kind, sources in (("speech", VOICES), ("music", MUSIC)):
        for source in sources:
            for package in source.packages:
                _move(root / "unpacked" / package, root / kind / source.split / source.name, source)
        write_json(root / kind / LICENSES_FILE, [source.credit for source in sources])
    shutil.rmtree(root / "unpacked")
    sums: dict[str, Any] = {deb.name: _sha256(deb) for deb in debs.values()}
    write_json(root / "sha256.json", sums)


def _move(unpacked: Path, folder: Path, source: Source) -> None:
    files = [p for p in sorted(unpacked.rglob("*")) if p.suffix in AUDIO_SUFFIXES]
    taken = [
        p
        for p in files
        if p.is_file()
        and p.name.startswith(source.prefix)
        and p.stem not in NOT_SPEECH
        and p.parent.name != "silence"
        and _has_samples(p)
    ]
    if not taken:
        raise LatrefError(f"package {unpacked.name} holds no recordings of {source.name}")
    for path in taken:
        # One speaker has two packages, with the same names in both.
        target = folder / unpacked.name / path.relative_to(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def _has_samples(path: Path) -> bool:
    try:
        return audio_info(path)[0] > 0
    except LatrefError:
        return False  # the Russian package has a file without samples


def _run(command: Sequence[str], folder: Path, watch: Callable[[], object] = lambda: None) -> None:
    """Runs a command, calling ``watch`` now and then; its first error becomes a LatrefError."""
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said = process.communicate(timeout=0.2)[0]
                break
            watch()
        watch()
    if process.returncode != 0:
        lines = said.strip().splitlines() or ["no message"]
        if os.strerror(errno.ENOSPC) in said:
            raise write_error(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        reason = next((line for line in lines if line.startswith("E: ")), lines[-1]).strip()
        raise LatrefError(f"{command[0]} failed: {reason}; try again, or {_INSTEAD}")


def _quote(version: str) -> str:
    return version.replace(":", "%3a")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _is_genuine(path: Path, record: dict[str, str]) -> bool:
    return path.is_file() and _sha256(path) == record["SHA256"]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
