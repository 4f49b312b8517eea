"""Files that are either whole or not there: write under a temporary name, then rename."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import LatrefError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary file name beside ``path``; renames it to ``path`` if the block succeeds.

    Args:
        path: the file to write. Its folder is made if it is missing.

    Yields:
        A path with the same suffix, in the same folder, to write to.

    Raises:
        LatrefError: the disk is full or the folder is not writable. The temporary file is removed.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with atomic_path(Path(folder.name) / "a.txt") as tmp:
        ...     _ = tmp.write_text("whole")
        >>> sorted(p.name for p in Path(folder.name).iterdir())
        ['a.txt']
        >>> folder.cleanup()
    """
    with _replacing(Path(path), _temporary_file, 0o666) as tmp:
        yield tmp


@contextmanager
def atomic_dir(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Like :func:`atomic_path` for a folder that must not exist yet (or be empty)."""
    with _replacing(Path(path), _temporary_folder, 0o777) as tmp:
        yield tmp


@contextmanager
def _replacing(path: Path, make: Callable[[Path], Path], mode: int) -> Iterator[Path]:
    tmp: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = make(path)
        # tempfile makes private things; what is published here is meant to be read by others too.
        tmp.chmod(mode & ~_umask())
        yield tmp
        tmp.replace(path)
    except OSError as err:
        raise write_error(path, err) from err
    finally:
        if tmp is not None and tmp.is_dir():
            shutil.rmtree(tmp, ignore_errors=True)
        elif tmp is not None:
            tmp.unlink(missing_ok=True)


def _temporary_file(path: Path) -> Path:
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".part-", dir=path.parent)
    os.close(handle)
    return Path(name)


def _temporary_folder(path: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=".part-", dir=path.parent))


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Writes ``obj`` as indented JSON, whole or not at all."""
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(obj, indent=2) + "\n")


def write_error(path: str | os.PathLike[str], err: OSError) -> LatrefError:
    """The sentence for a failed write of ``path``: what happened and what to do."""
    if err.errno == errno.ENOSPC:
        return LatrefError(f"{path}: no space left on the device; free some and run again")
    return LatrefError(f"{path}: cannot be written ({err.strerror or err}); check the folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
