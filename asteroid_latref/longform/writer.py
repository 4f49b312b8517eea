"""Estimates on their way to disk: raw while the levels are not known yet, then as audio files."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from ..audio import reason
from ..errors import LatrefError
from ..files import atomic_path, write_error

Array = npt.NDArray[np.float32]

IN_MEMORY = 64 << 20
BLOCK = 1 << 15
# Sample formats that hold more than 16 bits are kept; everything else becomes 16-bit PCM.
SUBTYPES = {"PCM_24": "PCM_24", "PCM_32": "PCM_32", "FLOAT": "FLOAT", "DOUBLE": "FLOAT"}


class RawStore:
    """Estimates before scaling: in memory while small, then in an unnamed file beside the output.

    The file has no name, so nothing is left behind even if the process is killed, and a full disk
    shows up in the folder the user chose, not in the system's temporary one.

    Args:
        folder: where the outputs will go.
        streams: channels separated independently.
        n_src: slots per stream.
    """

    def __init__(self, folder: Path, streams: int, n_src: int):
        self.folder = folder
        self.shape = (streams, n_src)
        self._size = 0
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=IN_MEMORY, mode="w+b", dir=str(folder)
        )

    def append(self, est: Array) -> None:
        """Adds estimates ``(streams, n_src, time)``."""
        self._size += est.nbytes
        try:
            if self._size > IN_MEMORY:
                self.folder.mkdir(parents=True, exist_ok=True)
            self._file.write(np.ascontiguousarray(est.transpose(2, 0, 1)).tobytes())
        except OSError as err:
            raise write_error(self.folder, err) from err

    def blocks(self) -> Iterator[Array]:
        """Everything stored, again as ``(streams, n_src, time)`` blocks."""
        row = 4 * self.shape[0] * self.shape[1]
        try:
            self._file.seek(0)  # also writes what is still buffered
        except OSError as err:
            raise write_error(self.folder, err) from err
        while data := self._file.read(row * BLOCK):
            flat: Array = np.frombuffer(data, dtype=np.float32)
            yield flat.reshape(-1, *self.shape).transpose(1, 2, 0)  # (streams, n_src, time)

    def close(self) -> None:
        """Frees the memory or disk space."""
        with suppress(OSError):  # closing flushes, which fails on a full disk; nothing is lost
            self._file.close()


def write_sources(
    paths: Sequence[Path],
    blocks: Iterator[Array],
    rate: int,
    out_rate: int,
    frames: int,
    subtype: str = "PCM_16",
) -> None:
    """Writes one WAV file per slot, all of them or none.

    Args:
        paths: output files, one per slot.
        blocks: scaled estimates ``(streams, n_src, time)`` at ``rate``.
        rate: the model's rate in Hz.
        out_rate: rate of the files in Hz.
        frames: samples per file; the rate conversion's rounding is trimmed or padded to it.
        subtype: sample format of the input; more than 16 bits are kept.

    Raises:
        LatrefError: the disk is full or the folder is not writable.
    """
    subtype = SUBTYPES.get(subtype, "PCM_16")
    with ExitStack() as stack:
        names = [stack.enter_context(atomic_path(path)) for path in paths]
        try:
            _fill(names, _at_rate(blocks, rate, out_rate, frames), out_rate, frames, subtype)
        except (sf.SoundFileError, AssertionError) as err:
            # libsndfile reports a failed write without errno, soundfile a short one by assert.
            what = reason(err) if isinstance(err, sf.SoundFileError) else "short write"
            raise LatrefError(
                f"{paths[0]}: cannot be written ({what}); is the disk or a quota full?"
            ) from err


def _fill(
    names: Sequence[Path], blocks: Iterator[Array], rate: int, frames: int, subtype: str
) -> None:
    with ExitStack() as stack:
        files: list[sf.SoundFile] = []
        for block in blocks:
            for slot, name in enumerate(names):
                if slot == len(files):
                    size = 4 * frames * block.shape[0]
                    kind = "WAV" if size < 1 << 32 else "RF64"  # WAV ends at 4 GiB
                    file = sf.SoundFile(name, "w", rate, block.shape[0], subtype, format=kind)
                    files.append(stack.enter_context(file))
                # Resampling may overshoot by a hair; integer formats would wrap or clip harshly.
                files[slot].write(np.clip(block[:, slot].T, -1.0, 1.0))
    for name in names:
        if sf.info(str(name)).frames != frames:
            raise AssertionError("short write")


def _at_rate(blocks: Iterator[Array], rate: int, out_rate: int, frames: int) -> Iterator[Array]:
    if rate == out_rate:
        yield from blocks
        return
    resampler: soxr.ResampleStream | None = None
    left = frames
    shape: tuple[int, ...] = ()
    for block in blocks:
        shape = block.shape[:2]
        if resampler is None:
            resampler = soxr.ResampleStream(rate, out_rate, shape[0] * shape[1], dtype="float32")
        rows = np.ascontiguousarray(block.reshape(-1, block.shape[2]).T)  # (time, streams * n_src)
        out = resampler.resample_chunk(rows)[:left]
        left -= len(out)
        yield out.T.reshape(*shape, -1)
    if resampler is None:
        return
    tail = resampler.resample_chunk(np.zeros((0, shape[0] * shape[1]), np.float32), last=True)
    tail = np.pad(tail[:left], ((0, max(0, left - len(tail))), (0, 0)))
    yield tail.T.reshape(*shape, -1)


def check_folder(folder: Path) -> None:
    """Finds out before the work, not after it, that nothing can be written to ``folder``.

    Raises:
        LatrefError: the folder, or the nearest one above it that exists, takes no files.
    """
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise LatrefError(f"{folder}: cannot be written ({there} is not a folder)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise LatrefError(f"{folder}: cannot be written (no permission); choose another with -o")
