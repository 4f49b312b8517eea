"""More voices and more noises out of few: each source faster or slower, and coloured."""

import math

import torch
from torch import Tensor


def augment(targets: Tensor, generator: torch.Generator, speed: float, colour: float) -> Tensor:
    """Changes speed (and so pitch and formants) and spectrum of every source by itself.

    Args:
        targets: ``(batch, slots, time)``.
        generator: of the random choices; on the CPU.
        speed: largest change of speed, up or down; 0.2 gives factors between 0.8 and 1.2.
        colour: largest gain of a band, up or down, in dB; between bands it varies smoothly.

    Returns:
        ``(batch, slots, time / (1 + speed))``, each source with the mean power it had.

    Examples:
        >>> targets = torch.randn(4, 2, 1200)
        >>> generator = torch.Generator().manual_seed(0)
        >>> augment(targets, generator, speed=0.2, colour=6.0).shape
        torch.Size([4, 2, 1000])
        >>> torch.allclose(augment(targets, generator, speed=0.0, colour=0.0), targets)
        True
    """
    power = targets.square().mean(-1, keepdim=True)
    changed = _colour(_speed(targets, generator, speed), generator, colour)
    new = changed.square().mean(-1, keepdim=True)
    return changed * (power / new.clamp_min(1e-12)).sqrt()


def _speed(targets: Tensor, generator: torch.Generator, most: float) -> Tensor:
    batch, slots, time = targets.shape
    length = int(time / (1 + most))
    if most == 0:
        return targets
    draws = torch.rand(2, batch, slots, 1, generator=generator).to(targets.device)
    factor = 1 + most * (2 * draws[0] - 1)  # (batch, slots, 1)
    start = draws[1] * (time - 1 - factor * (length - 1))
    place = start + factor * torch.arange(length, device=targets.device)
    place = place.clamp(0, time - 1)
    left = place.floor().long().clamp(max=time - 2)
    rest = place - left
    return torch.lerp(targets.gather(-1, left), targets.gather(-1, left + 1), rest)


def _colour(targets: Tensor, generator: torch.Generator, most: float, bands: int = 8) -> Tensor:
    if most == 0:
        return targets
    batch, slots, time = targets.shape
    gains = most * (2 * torch.rand(batch, slots, bands, generator=generator) - 1)
    smooth = torch.nn.functional.interpolate(
        gains.to(targets.device), size=time // 2 + 1, mode="linear", align_corners=True
    )
    spectrum = torch.fft.rfft(targets) * torch.exp(smooth * (math.log(10) / 20))
    return torch.fft.irfft(spectrum, n=time)
