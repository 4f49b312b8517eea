"""Reading and writing sound files, with the checks that turn a bad file into one clear sentence."""

import io
import os
from pathlib import Path

import numpy as np
import soundfile as sf

from .errors import LatrefError
from .files import atomic_path

#: What a folder of recordings is searched for.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".gsm", ".sph", ".wv1", ".wv2", ".aiff", ".aif", ".mp3")

# Raw GSM 06.10 frames carry no header: the telephone's format is the only one there is.
_GSM = {"samplerate": 8000, "channels": 1, "format": "RAW", "subtype": "GSM610"}


def audio_info(path: str | os.PathLike[str], sample_rate: int | None = None) -> tuple[int, int]:
    """Length and rate of a sound file, from its header.

    Args:
        path: any file libsndfile reads, or raw GSM 06.10 named ``.gsm``.
        sample_rate: the rate it must have, in Hz. None accepts any.

    Returns:
        Number of samples per channel, and the sample rate in Hz.

    Raises:
        LatrefError: the file is missing, not audio, without samples, or of another rate.
    """
    with open_audio(path) as file:
        _check_header(path, file, sample_rate)
        return file.frames, file.samplerate


def read_audio(
    path: str | os.PathLike[str],
    sample_rate: int | None = None,
    start: int = 0,
    stop: int | None = None,
    n_samples: int | None = None,
) -> tuple[np.ndarray, int]:
    """Reads a sound file, or a part of it.

    Args:
        path: any file libsndfile reads, or raw GSM 06.10 named ``.gsm``.
        sample_rate: the rate it must have, in Hz. None accepts any.
        start: first sample to read.
        stop: sample to stop before. None reads to the end.
        n_samples: the length the whole file must have. None accepts any.

    Returns:
        float32 array of shape ``(time, channels)``, full scale at 1, and the sample rate in Hz.

    Raises:
        LatrefError: the file is missing, not audio, without samples, of another rate or
            length than asked for, or holds NaN or infinite samples.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_audio(folder + "/a.wav", np.zeros((80, 1)), 8000)
        ...     wav, rate = read_audio(folder + "/a.wav", start=20)
        >>> wav.shape, rate
        ((60, 1), 8000)
    """
    with open_audio(path) as file:
        _check_header(path, file, sample_rate)
        length = file.frames
        stop = length if stop is None else stop
        if n_samples is not None and n_samples != length:
            raise LatrefError(
                f"{path}: has {length} samples, {n_samples} were expected; replace the file, or "
                "write the manifests anew (stage 2)"
            )
        if not 0 <= start < stop <= length:
            raise LatrefError(f"{path}: has {length} samples, not samples {start} to {stop}")
        try:
            if start:
                file.seek(start)
            wav = file.read(stop - start, dtype="float32", always_2d=True)
        except (sf.SoundFileError, OSError) as err:
            raise LatrefError(f"{path}: cannot be read ({reason(err)}); replace the file") from err
        rate = file.samplerate
    if len(wav) != stop - start:
        raise LatrefError(f"{path}: ends early, the file is cut short; replace it")
    if not np.isfinite(wav).all():
        raise LatrefError(f"{path}: holds NaN or infinite samples; replace the file")
    return wav, rate


def write_audio(
    path: str | os.PathLike[str], wav: np.ndarray, rate: int, subtype: str | None = None
) -> None:
    """Writes a sound file, whole or not at all.

    Args:
        path: where to; the suffix tells the format.
        wav: ``(time,)`` or ``(time, channels)``; floats with full scale at 1, or int16.
        rate: sample rate in Hz.
        subtype: libsndfile's encoding, e.g. ``"FLOAT"``. None takes the format's default (16-bit
            PCM for wav and flac, which clips what is beyond full scale).

    Raises:
        LatrefError: the suffix names no format, the disk is full or the folder cannot be written.
    """
    suffix = Path(path).suffix.lstrip(".").upper()
    if suffix not in sf.available_formats():
        raise LatrefError(f"{path}: '.{suffix.lower()}' is no sound format; use .wav or .flac")
    # Encoding in memory leaves the writing to Python, which reports a full disk as OSError.
    buffer = io.BytesIO()
    sf.write(buffer, wav, rate, format=suffix, subtype=subtype)
    with atomic_path(path) as tmp:
        tmp.write_bytes(buffer.getbuffer())


def list_audio(folder: str | os.PathLike[str]) -> list[Path]:
    """Every sound file below ``folder``, sorted; links to folders are not followed.

    Raises:
        LatrefError: the folder is missing or holds no sound file.
    """
    root = Path(folder)
    if not root.is_dir():
        raise LatrefError(f"{root}: no such folder")
    found = [
        Path(base, name)
        for base, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")
    ]
    if not found:
        raise LatrefError(f"{root}: holds no sound files ({', '.join(AUDIO_SUFFIXES)})")
    return sorted(found)


def open_audio(path: str | os.PathLike[str]) -> sf.SoundFile:
    """Opens a sound file for reading.

    Raises:
        LatrefError: missing, empty, not permitted or not a sound file.
    """
    path = Path(path)
    if not path.is_file():
        raise LatrefError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise LatrefError(f"{path}: empty file; replace it")
    if not os.access(path, os.R_OK):
        raise LatrefError(f"{path}: cannot be read (no permission)")
    try:
        return sf.SoundFile(path, **(_GSM if path.suffix.lower() == ".gsm" else {}))
    except (sf.SoundFileError, OSError) as err:
        raise LatrefError(f"{path}: not a readable sound file ({reason(err)})") from err


def _check_header(
    path: str | os.PathLike[str], file: sf.SoundFile, sample_rate: int | None
) -> None:
    if file.frames <= 0:
        raise LatrefError(f"{path}: holds no samples; replace the file")
    if sample_rate is not None and file.samplerate != sample_rate:
        raise LatrefError(
            f"{path}: sampled at {file.samplerate} Hz, {sample_rate} Hz is needed; "
            "resample it or change sample_rate"
        )


def reason(err: Exception) -> str:
    """libsndfile's own words for an error, without the file name it repeats in front."""
    text = getattr(err, "error_string", None) or str(err)
    return text.strip().splitlines()[-1].rstrip(".") if text.strip() else type(err).__name__
