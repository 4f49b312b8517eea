"""Timing of several things side by side: in turns, so that what disturbs one disturbs all."""

import time

import numpy as np
import torch


def in_turns(contestants, rounds, warm_up=2, device="cpu"):
    """Times every contestant once per round.

    Args:
        contestants: name to a function without arguments.
        rounds: number of rounds.
        warm_up: rounds before that are not timed.
        device: waits for it after each call.

    Returns:
        Name to ``min``, ``q1``, ``median``, ``q3`` in seconds, and ``rounds``.
    """
    times = {name: [] for name in contestants}
    for number in range(-warm_up, rounds):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            if device != "cpu":
                torch.cuda.synchronize()
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: summary(values) for name, values in times.items()}


def summary(values):
    low, q1, median, q3 = np.percentile(values, [0, 25, 50, 75]).tolist()
    return {"min": low, "q1": q1, "median": median, "q3": q3, "rounds": len(values)}


def training_step(model, batch, seconds, device="cpu", autocast=False):
    """One step on random sound: forward, loss, backward, Adam."""
    optimizer = torch.optim.Adam(model.parameters())
    wav = torch.randn(batch, int(seconds * 8000), device=device)
    targets = torch.randn(batch, 3, wav.shape[-1], device=device)
    # The loss is the same for all and next to nothing, so that the networks are compared.

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            estimates = model(wav)
        (estimates.float() - targets).square().mean().backward()
        optimizer.step()

    return step
