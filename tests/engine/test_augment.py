import numpy as np
import pytest
import torch

from asteroid_latref.engine.augment import augment

RATE = 8000


def tone(pitch, seconds=1.2):
    return torch.sin(2 * torch.pi * pitch * torch.arange(int(seconds * RATE)) / RATE)


def draw(targets, seed=0, **options):
    return augment(targets, torch.Generator().manual_seed(seed), **options)


def pitches(wavs):
    """Frequency of the strongest bin of each, in Hz."""
    spectrum = torch.fft.rfft(wavs * torch.hann_window(wavs.shape[-1])).abs()
    return spectrum.argmax(-1) * RATE / wavs.shape[-1]


def test_each_source_gets_a_speed_of_its_own_within_the_range():
    targets = tone(1000.0).expand(8, 2, -1)
    factors = pitches(draw(targets, speed=0.2, colour=0.0)).flatten() / 1000
    assert factors.min() >= 0.79 and factors.max() <= 1.21
    assert len(set(factors.tolist())) > 10 and factors.max() - factors.min() > 0.2


def test_colour_changes_the_balance_and_not_the_place_of_tones():
    targets = (tone(500.0) + tone(3000.0)).repeat(8, 2, 1)
    spectra = torch.fft.rfft(draw(targets, speed=0.0, colour=6.0)).abs()
    low, high = (spectra[..., round(f * 1.2)] for f in (500, 3000))
    balance = 20 * torch.log10(low / high).flatten()
    assert balance.abs().max() <= 12.1 and balance.std() > 1
    assert spectra.argmax(-1).unique().tolist() == [600, 3600]


@pytest.mark.parametrize(("speed", "colour"), [(0.2, 0.0), (0.0, 6.0), (0.2, 6.0)])
def test_power_silence_and_seed(speed, colour):
    targets = torch.randn(4, 3, 2400) * torch.tensor([0.1, 1.0, 10.0])[:, None]
    targets[2, 1] = 0
    options = dict(speed=speed, colour=colour)
    out = draw(targets, **options)
    np.testing.assert_allclose(
        out.square().mean(-1), targets.square().mean(-1), rtol=1e-4, atol=1e-12
    )
    assert torch.isfinite(out).all() and not out[2, 1].any()
    assert torch.equal(out, draw(targets, **options))
    assert not torch.allclose(out, draw(targets, seed=1, **options))
