"""Small recordings to mix: no speech, but loud and quiet, long and short, told apart by pitch."""

from pathlib import Path

import numpy as np

from asteroid_latref.audio import write_audio

RATE = 8000


def voice(pitch, seconds, seed):
    """A buzz in syllables, with half a second of silence before and after."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 12))
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time + rng.uniform(0, 6))
    silence = np.zeros(RATE // 2)
    # Breath makes every stretch of it unlike any other.
    breath = 0.05 * rng.standard_normal(len(time))
    return np.concatenate([silence, 0.1 * (buzz + breath) * syllables, silence])


def make_speech(folder, n_speakers=7, n_files=5, seconds=1.5):
    for i in range(n_speakers):
        for j in range(n_files):
            wav = voice(100 + 20 * i, seconds, seed=100 * i + j)
            write_audio(Path(folder, f"speaker{i}", "session", f"{j}.wav"), wav, RATE)


def make_noise(folder, n_files=4, seconds=6.0, rate=RATE):
    for i in range(n_files):
        rng = np.random.default_rng(i)
        wav = 0.05 * rng.standard_normal((round(seconds * rate), 2))
        write_audio(Path(folder, f"noise{i}.flac"), wav, rate)
