"""Enhancement that nobody here trained: noisereduce, RNNoise, and doing nothing.

    pip install -e '.[rivals]'
    python -m benchmarks.rivals --json_dir egs/wham/data/wav8k/min

Measured as the study measures its models, on the same test set, and written as the same records.
"""

import argparse
import ctypes
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import soxr
import torch

from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.errors import LatrefError, one_line_errors
from asteroid_latref.files import write_json

from .measuring import PACKAGES, hardware, measure, real_time_factors, versions

TASK = "enh_single"
OUT = Path(__file__).parents[1] / "docs/results/study_rivals.json"
LARGEST_LAG = 4800  # samples at RNNoise's own rate: a tenth of a second


class Untrained(torch.nn.Module):
    """A function from a waveform to one of the same length, as evaluation wants a model.

    Args:
        function: ``(time,) -> (time,)``, NumPy arrays.
        parameters: how many learned numbers it holds.
        sample_rate: in Hz.
    """

    exit_blocks = (1,)
    n_iters = (1,)

    def __init__(self, function, n_parameters, sample_rate):
        super().__init__()
        self.function, self.n_parameters, self.sample_rate = function, n_parameters, sample_rate
        self.place = torch.nn.Parameter(torch.empty(0))  # evaluation asks where a model is

    def forward(self, wav):
        """``(time,)`` or ``(1, time)`` to one source, ``(1, time)`` or ``(1, 1, time)``."""
        est = torch.from_numpy(np.ascontiguousarray(self.function(wav.reshape(-1).numpy())))
        return est.float()[None] if wav.ndim == 1 else est.float()[None, None]

    def forward_exits(self, wav):
        return [self(wav)]

    def get_model_args(self):
        return {"sample_rate": self.sample_rate}

    def costs(self):
        return [{"parameters": self.n_parameters, "macs_per_second": None}]


class RNNoise:
    """RNNoise behind a change of sample rate, with its delay taken out.

    Args:
        sample_rate: of what comes and goes, in Hz.
        lag: samples at RNNoise's own rate that its output comes late; see :meth:`find_lag`.
    """

    def __init__(self, sample_rate, lag=0):
        from pyrnnoise import rnnoise

        self.rnnoise, self.sample_rate, self.lag = rnnoise, sample_rate, lag

    def __call__(self, wav):
        size = len(wav)
        late = self.raw(self._resample(wav, self.sample_rate, self.rnnoise.SAMPLE_RATE))
        back = self._resample(late[self.lag :], self.rnnoise.SAMPLE_RATE, self.sample_rate)
        return np.pad(back, (0, max(size - len(back), 0)))[:size]

    def raw(self, wav):
        """What it makes of sound at its own rate, ``LARGEST_LAG`` samples longer."""
        frame = self.rnnoise.FRAME_SIZE
        wav = np.pad(wav, (0, LARGEST_LAG + (-len(wav)) % frame))
        state = self.rnnoise.create()
        try:
            frames = np.round(wav.clip(-1, 32767 / 32768) * 32768).astype(np.int16)
            done = [self.rnnoise.process_mono_frame(state, f)[0] for f in frames.reshape(-1, frame)]
        finally:
            self.rnnoise.destroy(state)
        return np.concatenate(done).astype(np.float32) / 32768

    def find_lag(self, dataset, n_items=8):
        """Sets the delay at which the output looks most like the speech, over a few items."""
        total = np.zeros(LARGEST_LAG)
        for index in range(min(n_items, len(dataset))):
            mixture, targets = dataset[index]
            rates = self.sample_rate, self.rnnoise.SAMPLE_RATE
            speech = self._resample(targets[0].numpy(), *rates)
            late = self.raw(self._resample(mixture.numpy(), *rates))
            size = 2 ** int(np.ceil(np.log2(len(late) + len(speech))))
            product = np.fft.rfft(late, size) * np.fft.rfft(speech, size).conj()
            total += np.fft.irfft(product)[:LARGEST_LAG] / (np.linalg.norm(speech) ** 2)
        self.lag = int(total.argmax())
        return self

    def _resample(self, wav, before, after):
        return soxr.resample(wav.astype(np.float32), before, after, quality="VHQ")

    def n_parameters(self):
        """Weights and biases in the library: each layer's once, though some are stored twice."""

        class Array(ctypes.Structure):
            _fields_ = (
                ("name", ctypes.c_char_p),
                ("type", ctypes.c_int),
                ("size", ctypes.c_int),
                ("data", ctypes.c_void_p),
            )

        try:
            arrays = (Array * 1000).in_dll(self.rnnoise.lib, "rnnoise_arrays")
        except ValueError:
            return None  # another version of the library
        total = 0
        for array in arrays:
            if array.name is None:
                break
            if array.name.decode().endswith(("_weights_float", "_weights_diag", "_bias")):
                total += array.size // ctypes.sizeof(ctypes.c_float)
        return total


def contestants(json_dir, sample_rate):
    """Name -> (what it is in words, model, how it was set up)."""
    make = partial(Untrained, sample_rate=sample_rate)
    found = {"nothing": ("the mixture as it is", make(lambda wav: wav, 0), {})}
    try:
        import noisereduce

        rnnoise = RNNoise(sample_rate)
    except ImportError as err:
        raise LatrefError(f"{err}; pip install -e '.[rivals]' and run this again") from err
    for name, stationary in (("stationary", True), ("non_stationary", False)):
        gate = partial(noisereduce.reduce_noise, sr=sample_rate, stationary=stationary)
        model = make(lambda wav, gate=gate: gate(y=wav), 0)
        what = f"noisereduce, {name.replace('_', '-')}"
        found[f"noisereduce_{name}"] = (what, model, {"stationary": stationary})
    # On the validation set: nothing is fitted to what is measured.
    rnnoise.find_lag(WhamDataset(json_dir / "cv", TASK, sample_rate, segment=None))
    how = {"lag": rnnoise.lag, "rate": rnnoise.rnnoise.SAMPLE_RATE}
    model = make(rnnoise, rnnoise.n_parameters())
    return found | {"rnnoise": ("RNNoise, through pyrnnoise at 48 kHz", model, how)}


def record(name, what, model, how, test_set, n_items):
    """The same record as of a trained run, as far as it applies."""
    with tempfile.TemporaryDirectory() as folder:
        row = {"state": "", **measure(Path(folder), test_set, model, n_items)}
    row["stored_parameters"] = model.n_parameters
    row["exits"][0]["real_time_factor"] = real_time_factors(model, test_set)[0]
    return {
        "name": f"rivals/{name}",
        "group": "rivals",
        "what": what,
        "task": TASK,
        "data": test_set.get_infos()["dataset"],
        "how": how,
        "versions": versions((*PACKAGES, "noisereduce", "pyrnnoise")),
        "hardware": hardware(),
        "n_items": row["n_items"],
        "results": [row],
    }


@one_line_errors
def main(argv=None):
    """Measures them all on the test set."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--json_dir", required=True, type=Path, help="manifests (recipe stage 2)")
    parser.add_argument("--sample_rate", type=int, default=8000)
    parser.add_argument("--n_items", type=int, help="test mixtures; default: all")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    test_set = WhamDataset(args.json_dir / "tt", TASK, args.sample_rate, segment=None)
    runs = []
    for name, contestant in contestants(args.json_dir, args.sample_rate).items():
        runs.append(record(name, *contestant, test_set, args.n_items))
        best = runs[-1]["results"][0]["exits"][0]
        print(f"{name}: {best['si_sdr_imp']:.2f} dB, {best['real_time_factor']:.4f} s per second")
    write_json(args.out, {"runs": runs})
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
