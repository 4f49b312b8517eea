"""From what was typed to the list of recordings: files, folders and patterns."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..audio import list_audio
from ..errors import LatrefError

Job = tuple[Path, Path | None]
"""A recording, and the folder its outputs go to (None: beside it)."""


def find_recordings(
    names: Iterable[str], out_dir: str | None, slots: Sequence[str]
) -> Iterator[Job | LatrefError]:
    """Recordings in the order given, each once; an error in the place of what leads nowhere.

    Outputs of an earlier run are left out when a folder is read. Below ``out_dir`` the layout of
    the folder is kept, so that recordings of one name do not meet.

    Args:
        names: files, folders (searched to any depth) and patterns with ``*``, ``?`` or ``[]``.
        out_dir: where the outputs go.
        slots: names of the outputs.
    """
    seen: set[Path] = set()
    for name in names:
        for job in _expand(name, None if out_dir is None else Path(out_dir), slots):
            if isinstance(job, LatrefError):
                yield job
            elif (key := job[0].resolve()) not in seen:
                seen.add(key)
                yield job


def claim(job: Job, taken: dict[Path, Path]) -> None:
    """Notes where a recording's outputs go.

    Raises:
        LatrefError: another recording's go there too, as those of ``a.wav`` and ``a.flac``.
    """
    path, folder = job
    stem = (folder or path.parent).resolve() / path.stem
    other = taken.setdefault(stem, path)
    if other is not path:
        raise LatrefError(
            f"{path}: its outputs would have the names of those of {other}; "
            "rename one or give it another -o"
        )


def _expand(name: str, out: Path | None, slots: Sequence[str]) -> Iterator[Job | LatrefError]:
    matches = [Path(name)]
    if glob.has_magic(name) and not matches[0].exists():
        matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
    if not matches:
        yield LatrefError(f"{name}: no file matches")
    for path in matches:
        if not path.is_dir():
            yield path, out
            continue
        try:
            for file in _without_outputs(list_audio(path), slots):
                yield file, None if out is None else out / file.parent.relative_to(path)
        except LatrefError as err:
            yield err


def _without_outputs(files: Sequence[Path], slots: Sequence[str]) -> list[Path]:
    stems = {file.with_suffix("") for file in files}

    def is_output(file: Path) -> bool:
        base, _, slot = file.stem.rpartition("_")
        return slot in slots and file.with_name(base) in stems

    return [file for file in files if not is_output(file)]
