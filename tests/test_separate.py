"""Long recordings: windows without seams, one source order, levels that add up."""

import itertools

import numpy as np
import pytest
import soundfile as sf
import torch
from torch import nn

from asteroid_latref import IterSudoRmRf
from asteroid_latref.errors import LatrefError
from asteroid_latref.longform.levels import mixture_gains
from asteroid_latref.longform.stitch import Stitcher
from asteroid_latref.longform.windows import batches, plan_windows
from asteroid_latref.separate import SeparateOptions, separate_array, separate_file, slots_of

RATE = 8000


class Bands(nn.Module):
    """Three fixed bands of the mixture, which sum to it: a model whose right answer is known.

    ``shuffle`` swaps the two speech slots in every other call, ``scales`` are the levels a network
    trained with SI-SDR would be free to choose.
    """

    n_src, sample_rate = 3, RATE

    def __init__(self, shuffle=False, scales=(1.0, 1.0, 1.0)):
        super().__init__()
        self.shuffle, self.scales, self.calls = shuffle, scales, []
        low, mid = (torch.hann_window(n, periodic=False) for n in (65, 17))
        self.low, self.mid = low / low.sum(), mid / mid.sum()

    def forward(self, wav):
        self.calls.append(tuple(wav.shape))

        def smooth(kernel):
            return torch.nn.functional.conv1d(wav, kernel[None, None], padding=len(kernel) // 2)

        low, wide = smooth(self.low), smooth(self.mid)
        est = torch.cat([low, wide - low, wav - wide], 1)
        est = est * torch.tensor(self.scales)[:, None]
        if self.shuffle and len(self.calls) % 2 == 0:
            est = est[:, [1, 0, 2]]
        return est


class Gated(Bands):
    """As many steps as the loudness of the input asks for."""

    def separate_with_steps(self, wav):
        return self(wav), (wav.abs().amax((1, 2)) > 0.5).long() * 3 + 1


def noise(seconds, seed=0, scale=0.1):
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=round(seconds * RATE))).astype(np.float32)


def si_sdr(est, ref):
    scaled = ref * (est @ ref) / (ref @ ref)
    return 10 * np.log10((scaled @ scaled) / ((est - scaled) @ (est - scaled)))


@pytest.mark.parametrize("total", [1, 639, 8000, 24_001, 60_000, 123_457, 1_000_000])
@pytest.mark.parametrize("window, overlap", [(16_000, 4000), (8000, 4000), (10_240, 0)])
def test_windows_cover_everything_with_at_least_the_overlap(total, window, overlap):
    spans = plan_windows(total, window, overlap)
    assert spans[0][0] == 0 and spans[-1][1] == total
    for (_, stop), (start, _) in itertools.pairwise(spans):
        assert stop - start >= overlap
    if len(spans) > 1:
        assert all(window <= b - a < window + 640 for a, b in spans)
        assert all(a % 640 == 0 for a, _ in spans)
    assert [s for group in batches(spans, 3) for s in group] == spans


def test_windows_refuse_more_than_half_overlap():
    with pytest.raises(ValueError, match="overlap"):
        plan_windows(100_000, 16_000, 9000)


@pytest.mark.parametrize("fade", [0, 100, 10_000])
def test_stitching_slices_of_a_signal_gives_the_signal(fade):
    signal = np.random.default_rng(0).normal(size=(2, 3, 50_000)).astype(np.float32)
    stitcher = Stitcher(n_speech=2, fade=fade)
    spans = plan_windows(50_000, 12_800, 3200)
    out = [stitcher.add(a, signal[..., a:b]) for a, b in spans]
    out.append(stitcher.flush())
    np.testing.assert_allclose(np.concatenate(out, -1), signal, atol=1e-6)


@pytest.mark.parametrize("batch, overlap, fade", [(1, 1, 0.1), (4, 1, 0.1), (3, 2, 2), (1, 2, 2)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_windows_give_what_whole_file_processing_gives(batch, overlap, fade, shuffle):
    mix = noise(40)
    options = SeparateOptions(window=4, overlap=overlap, fade=fade, batch=batch)
    whole, _ = separate_array(Bands(), mix, SeparateOptions(window=0))
    model = Bands(shuffle=shuffle)
    est, steps = separate_array(model, mix, options)
    assert len(model.calls) > 2 and steps == []
    assert max(shape[0] for shape in model.calls) == batch
    np.testing.assert_allclose(est, whole, atol=1e-4)


def test_noise_slot_never_trades_places():
    """The noise slot is the loudest here: only speech slots may be matched with each other."""
    model = Bands(shuffle=True, scales=(0.1, 0.1, 30.0))
    whole, _ = separate_array(Bands(), mix := noise(30), SeparateOptions(window=0))
    est, _ = separate_array(model, mix, SeparateOptions(window=4, overlap=1))
    np.testing.assert_allclose(est[2], whole[2], atol=1e-3)


def test_order_is_kept_through_a_silent_overlap():
    mix = noise(20)
    mix[5 * RATE : 9 * RATE] = 0
    est, _ = separate_array(Bands(), mix, SeparateOptions(window=4, overlap=1))
    whole, _ = separate_array(Bands(), mix, SeparateOptions(window=0))
    np.testing.assert_allclose(est, whole, atol=1e-4)


def test_network_in_windows_is_close_to_the_network_on_the_whole():
    """60 s: what global norms make of windows stays far below what separation leaves behind.

    A random network is the harshest case: nothing taught it that levels do not matter.
    """
    torch.manual_seed(0)
    model = IterSudoRmRf(n_src=2, n_sub_blocks=2, bn_chan=16, hid_chan=32, n_filters=32)
    rng = np.random.default_rng(1)
    level = np.interp(np.arange(60 * RATE), np.arange(0, 60 * RATE, RATE), rng.uniform(0.2, 1, 60))
    target, other = noise(60, 2) * level.astype(np.float32), noise(60, 3)
    whole, _ = separate_array(model, target + other, SeparateOptions(window=0))
    est, _ = separate_array(model, target + other)
    for a, b in zip(est, whole, strict=True):
        assert abs(si_sdr(a, target) - si_sdr(b, target)) < 0.1


@pytest.mark.parametrize("scales", [(1, 1, 1), (5, -0.5, 10), (1e-3, 1e-3, 1e-3)])
def test_levels_add_up_to_the_mixture(scales):
    mix = noise(3)
    est, _ = separate_array(Bands(scales=scales), mix)
    residual = mix - est.sum(0)
    assert 10 * np.log10((mix @ mix) / (residual @ residual)) > 40


def test_gains_of_silent_and_doubled_slots_stay_sane():
    assert mixture_gains(np.zeros((3, 3)), np.zeros(3)).tolist() == [1, 1, 1]
    gram = np.array([[4.0, 0], [0, 0]])  # the second slot is silent
    np.testing.assert_allclose(mixture_gains(gram, np.array([2.0, 0])), [0.5, 0.5], atol=1e-3)
    gram = np.array([[1.0, 1e-3], [1e-3, 1e-6]])  # the second is a faint copy of the first
    assert np.abs(mixture_gains(gram, np.array([1.0, 1e-3]))).max() < 1.1


@pytest.mark.parametrize("scale", [0.0, 1e-30])
def test_silence_stays_silent_and_finite(scale):
    est, _ = separate_array(Bands(), noise(30, scale=scale), SeparateOptions(window=4, overlap=1))
    assert np.isfinite(est).all() and np.abs(est).max() < 1e-20


def test_gate_acts_in_every_window():
    mix = noise(16, scale=0.01)
    mix[: 4 * RATE] *= 100
    options = SeparateOptions(window=4, overlap=0, fade=0)
    _, steps = separate_array(Gated(), mix, options)
    assert steps[0] == [4] and steps[-1] == steps[-2] == [1]
    with pytest.raises(LatrefError, match="n_iters=2: Gated has no such choice"):
        separate_array(Gated(), mix, SeparateOptions(n_iters=2))


def test_operating_points_are_passed_on_and_checked():
    model = IterSudoRmRf(
        n_src=2,
        n_blocks=2,
        n_iters=2,
        exits="all",
        n_sub_blocks=1,
        bn_chan=8,
        hid_chan=8,
        n_filters=8,
    )
    wav = torch.from_numpy(noise(1))
    est, _ = separate_array(model, wav.numpy(), SeparateOptions(n_blocks=1, n_iters=1))
    with torch.no_grad():
        direct = model.eval()(wav, n_blocks=1, n_iters=1).numpy()
    for a, b in zip(est, direct, strict=True):
        assert np.corrcoef(a, b)[0, 1] ** 2 == pytest.approx(1, abs=1e-5)
    with pytest.raises(LatrefError, match="n_blocks=3"):
        separate_array(model, wav.numpy(), SeparateOptions(n_blocks=3))


@pytest.mark.parametrize("rate, channels", [(8000, 1), (44_100, 1), (11_025, 2), (192_000, 1)])
@pytest.mark.parametrize("window", [0, 1])
def test_files_of_any_rate_come_back_as_long_and_add_up(tmp_path, rate, channels, window):
    frames = 3 * rate + 7
    t = np.arange(frames) / rate
    wav = 0.2 * np.stack([np.sin(2 * np.pi * f * t) for f in (440, 1111)[:channels]], 1)
    sf.write(tmp_path / "in.flac", wav, rate)
    options = SeparateOptions(window=window, overlap=window / 4, resample=True)
    summary = separate_file(Bands(scales=(2, 3, -1)), tmp_path / "in.flac", options=options)
    names = ["in_s1.wav", "in_s2.wav", "in_noise.wav"]
    assert summary.outputs == [str(tmp_path / name) for name in names]
    total = np.zeros(frames)
    for path in summary.outputs:
        est, est_rate = sf.read(path)
        assert est_rate == rate and est.shape == (frames,)
        total += est
    error = (total - wav.mean(1))[rate // 20 : -rate // 20]  # a resampler has edges
    assert np.sqrt(np.mean(error**2)) < 1e-3
    assert ("mixed down" in summary.note) == (channels == 2)


def test_each_channel_alone_with_the_same_order_in_all(tmp_path):
    left, right = noise(6), noise(6, seed=1)
    mix = np.stack([left, 0.5 * left + 0.01 * right], 1)
    sf.write(tmp_path / "in.wav", mix, RATE, subtype="FLOAT")

    class Swapped(Bands):
        """Finds the sources in another order on the second channel."""

        def forward(self, wav):
            est = super().forward(wav)
            est[1::2] = est[1::2][:, [1, 0, 2]]
            return est

    options = SeparateOptions(channels="each", window=2, overlap=0.5, fade=0.1)
    out = separate_file(Swapped(), tmp_path / "in.wav", tmp_path / "out", options)
    for slot, path in enumerate(out.outputs):
        est, _ = sf.read(path)
        assert sf.info(path).subtype == "FLOAT"
        for channel in range(2):
            alone, _ = separate_array(Bands(), mix[:, channel], SeparateOptions(window=0))
            np.testing.assert_allclose(est[:, channel], alone[slot], atol=2e-4)


def test_loud_outputs_are_scaled_together_not_clipped(tmp_path):
    t = np.arange(RATE) / RATE
    wav = 0.5 * np.sin(2 * np.pi * 100 * t) + 0.5 * np.sin(2 * np.pi * 3000 * t)

    class Anti(Bands):
        """Sources that cancel each other: both far louder than their sum."""

        def forward(self, wav):
            other = 3 * torch.flip(wav, [-1])
            return torch.cat([wav + other, -other, 0 * wav], 1)

    sf.write(tmp_path / "in.wav", wav, RATE)
    out = separate_file(Anti(), tmp_path / "in.wav")
    assert out.peak_scale < 1 and "so that none clips" in out.note
    parts = [sf.read(path)[0] for path in out.outputs]
    assert max(np.abs(p).max() for p in parts) < 0.99
    np.testing.assert_allclose(sum(parts) / out.peak_scale, wav, atol=2e-3)


def test_outputs_that_exist_are_kept(tmp_path):
    sf.write(tmp_path / "in.wav", noise(1), RATE)
    (tmp_path / "in_s2.wav").write_text("mine")
    out = separate_file(Bands(), tmp_path / "in.wav")
    assert out.skipped and (tmp_path / "in_s2.wav").read_text() == "mine"
    assert not (tmp_path / "in_s1.wav").exists()
    out = separate_file(Bands(), tmp_path / "in.wav", options=SeparateOptions(overwrite=True))
    assert not out.skipped and sf.info(tmp_path / "in_s2.wav").frames == RATE


def test_a_model_that_breaks_its_word_is_named(tmp_path):
    class Broken(Bands):
        def forward(self, wav):
            return super().forward(wav) * float("nan")

    with pytest.raises(LatrefError, match="NaN"):
        separate_array(Broken(), noise(1))
    with pytest.raises(LatrefError, match="not \\(batch, n_src, time\\)"):
        model = Bands()
        model.forward = lambda wav: wav[..., :-1]
        separate_array(model, noise(1))


def test_slots_come_from_the_task_or_the_number_of_outputs():
    model = Bands()
    assert slots_of(model) == (("s1", "s2", "noise"), 2)
    model.n_src = 2
    assert slots_of(model) == (("s1", "s2"), 2)
    model.task = "enh_single"
    assert slots_of(model) == (("s1", "noise"), 1)
    model.n_src = 1
    assert slots_of(model) == (("s1",), 1)
    with pytest.raises(LatrefError, match="how many sources"):
        slots_of(nn.Conv1d(1, 1, 1))


@pytest.mark.parametrize(
    "bad", [dict(window=-1), dict(window=0.2), dict(overlap=20), dict(batch=0), dict(channels="l")]
)
def test_options_are_checked(bad):
    with pytest.raises(LatrefError, match=next(iter(bad))):
        SeparateOptions(**bad)
