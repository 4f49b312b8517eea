"""Online remixing: new mixtures out of the sources of one batch (LIR §3.2)."""

import torch


def remix(
    targets: torch.Tensor, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shuffles each target slot across the examples of a batch and mixes anew.

    A signal that arrives in an example is rescaled to the energy its slot had there, so the levels
    within each mixture stay those of the corpus. Where the arriving signal is silent no gain can do
    that, and the example keeps its own. A batch of one comes back as it is.

    Args:
        targets: ``(batch, slots, time)``.
        generator: source of the permutations. None takes PyTorch's global one.

    Returns:
        The mixtures ``(batch, time)``, the sum over slots, and the new targets
        ``(batch, slots, time)``.

    Examples:
        >>> targets = torch.randn(4, 2, 100)
        >>> mixture, new = remix(targets, torch.Generator().manual_seed(0))
        >>> torch.equal(mixture, new.sum(1))
        True
        >>> torch.allclose(new.square().sum(-1), targets.square().sum(-1), rtol=1e-4)
        True
    """
    batch, slots, _ = targets.shape
    if batch == 1:
        return targets.sum(1), targets
    device = generator.device if generator is not None else torch.device("cpu")
    order = torch.stack(
        [torch.randperm(batch, generator=generator, device=device) for _ in range(slots)], dim=1
    ).to(targets.device)  # (batch, slots)
    arriving = targets[order, torch.arange(slots, device=targets.device)]  # (batch, slots, time)

    energy = targets.square().sum(-1, keepdim=True)  # (batch, slots, 1)
    arriving_energy = arriving.square().sum(-1, keepdim=True)
    silent = arriving_energy == 0
    gain = (energy / arriving_energy.masked_fill(silent, 1.0)).sqrt()
    mixed = torch.where(silent, targets, arriving * gain)
    return mixed.sum(1), mixed
