"""One mixture: WHAM!'s levels, and 16-bit sources that add up to it exactly."""

import numpy as np

#: From and to: level of the louder speaker relative to full scale, in dB.
LEVEL_DB = (-30.0, -22.0)
_PEAK = 32760  # leaves room for the rounding of three sources


def mix(
    s1: np.ndarray,
    s2: np.ndarray,
    noise: np.ndarray,
    level_db: float,
    second_db: float,
    snr_db: float,
) -> dict[str, np.ndarray]:
    """Scales three signals and adds them up.

    Args:
        s1: louder speaker, ``(time,)``, not silent. So are ``s2`` and ``noise``.
        s2: other speaker.
        noise: the noise.
        level_db: level of ``s1`` relative to full scale; lowered where a sum would clip.
        second_db: how far ``s2`` lies below ``s1``.
        snr_db: how far ``noise`` lies below ``s1``.

    Returns:
        int16 arrays ``(time,)`` named after WHAM!'s folders. ``mix_clean = s1 + s2``,
        ``mix_single = s1 + noise`` and ``mix_both = s1 + s2 + noise`` hold exactly.
    """
    levels = {"s1": level_db, "s2": level_db - second_db, "noise": level_db - snr_db}
    signals = {"s1": s1, "s2": s2, "noise": noise}
    scaled = {}
    for name, wav in signals.items():
        scaled[name] = 32768.0 * at_level(wav.astype(np.float64), levels[name])
    peak = max(float(np.abs(wav).max()) for wav in (*scaled.values(), *_sums(scaled).values()))
    gain = min(1.0, _PEAK / peak)
    quantised = {name: np.round(wav * gain).astype(np.int32) for name, wav in scaled.items()}
    return {name: wav.astype(np.int16) for name, wav in {**_sums(quantised), **quantised}.items()}


def at_level(wav: np.ndarray, level_db: float) -> np.ndarray:
    """``wav`` with that level relative to full scale; it must not be silent."""
    rms = float(np.sqrt(np.square(wav, dtype=np.float64).mean()))
    return wav * (10 ** (level_db / 20) / rms)


def _sums(signals: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    s1, s2, noise = signals["s1"], signals["s2"], signals["noise"]
    return {"mix_clean": s1 + s2, "mix_single": s1 + noise, "mix_both": s1 + s2 + noise}
