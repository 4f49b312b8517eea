"""A recording read block by block at the model's rate, and checked on the way."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from ..audio import open_audio, reason
from ..errors import LatrefError

Array = npt.NDArray[np.float32]

BLOCK = 1 << 16
SHORTEST = 0.01
"""Seconds below which there is nothing to separate: not even one coarse frame of the models."""


class Recording:
    """An audio file opened for separation at ``rate`` Hz.

    Args:
        path: any file libsndfile reads (wav, flac, ogg, mp3, ...).
        rate: the model's sample rate in Hz.
        resample: convert other rates; without it another rate is an error.
        channels: ``"mix"`` averages the channels, ``"each"`` keeps each as a stream of its own;
            None averages stereo and refuses more than two channels, which are rarely one scene.

    Attributes:
        source_rate: sample rate of the file in Hz.
        source_channels: channels in the file.
        source_frames: samples per channel in the file.
        subtype: libsndfile's name of the sample format.
        streams: channels of the blocks given out: 1 unless ``channels="each"``.
        total: samples per stream at ``rate``.

    Raises:
        LatrefError: missing, unreadable, not audio, empty, too short, at another rate, or with more
            channels than the defaults cover. Names the file and what to do.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rate: int,
        resample: bool = False,
        channels: str | None = None,
    ):
        self.path = Path(path)
        self.rate = rate
        with open_audio(self.path) as file:
            self.source_rate: int = file.samplerate
            self.source_channels: int = file.channels
            self.subtype: str = file.subtype
            # The length in an MP3's header is an estimate; only decoding tells.
            estimated = file.format in ("MP3", "MPEG") or file.frames > 1 << 50
            self.source_frames: int = _count(file) if estimated else file.frames
        if self.source_frames == 0:
            raise LatrefError(f"{path}: holds no samples")
        if self.source_frames < SHORTEST * self.source_rate:
            raise LatrefError(
                f"{path}: too short to separate ({self.source_frames} samples at "
                f"{self.source_rate} Hz; at least {SHORTEST * 1000:.0f} ms are needed)"
            )
        if self.source_rate != rate and not resample:
            raise LatrefError(
                f"{path}: sampled at {self.source_rate} Hz, the model works at {rate} Hz; "
                "add --resample to convert"
            )
        if channels is None and self.source_channels > 2:
            raise LatrefError(
                f"{path}: has {self.source_channels} channels; choose --channels mix "
                "(average them) or --channels each (separate every channel)"
            )
        self.streams = self.source_channels if channels == "each" else 1
        self.total = max(1, round(self.source_frames * rate / self.source_rate))

    @property
    def seconds(self) -> float:
        """Duration of the file in seconds."""
        return self.source_frames / self.source_rate

    @property
    def note(self) -> str:
        """What was done with the channels and the rate, in words; empty if nothing."""
        notes = []
        if self.source_channels > 1:
            how = "mixed down to one" if self.streams == 1 else "separated one by one"
            notes.append(f"{self.source_channels} channels {how}")
        if self.source_rate != self.rate:
            notes.append(f"resampled {self.source_rate} -> {self.rate} Hz and back")
        return ", ".join(notes)

    def blocks(self) -> Iterator[Array]:
        """The samples as ``(streams, time)`` float32 blocks, :attr:`total` per stream in all.

        Raises:
            LatrefError: NaN or infinite samples, or fewer samples than the header promises.
        """
        if self.source_rate == self.rate:
            yield from self._source_blocks()
            return
        resampler = soxr.ResampleStream(self.source_rate, self.rate, self.streams, dtype="float32")
        left = self.total
        for block in self._source_blocks():
            out = resampler.resample_chunk(np.ascontiguousarray(block.T)).T[:, :left]
            left -= out.shape[1]
            yield out
        tail = resampler.resample_chunk(np.zeros((0, self.streams), np.float32), last=True).T
        # The filter's rounding may leave the last sample open; lengths must agree downstream.
        yield np.pad(tail[:, :left], ((0, 0), (0, max(0, left - tail.shape[1]))))

    def _source_blocks(self) -> Iterator[Array]:
        done = 0
        try:
            with open_audio(self.path) as file:
                while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                    if not np.isfinite(block).all():
                        at = (done + int(np.argmin(np.isfinite(block).all(1)))) / self.source_rate
                        raise LatrefError(
                            f"{self.path}: has NaN or infinite samples (first at {at:.3f} s)"
                        )
                    done += len(block)
                    yield block.T if self.streams > 1 else block.mean(axis=1)[None]
        except sf.SoundFileError as err:
            raise LatrefError(
                f"{self.path}: damaged after {done / self.source_rate:.1f} s ({reason(err)})"
            ) from err
        if done < self.source_frames:
            raise LatrefError(
                f"{self.path}: truncated: {done} of {self.source_frames} samples could be read"
            )


def _count(file: sf.SoundFile) -> int:
    count = 0
    while block := len(file.read(BLOCK, dtype="float32")):
        count += block
    return count
