"""What training keeps in memory between the forward and the backward pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def saved_for_backward(model: nn.Module, call: Callable[[], Any]) -> int:
    """Bytes that autograd keeps for the backward pass of what ``call()`` computes.

    Each piece of memory counts once, however many operations keep it; the parameters of ``model``
    do not count, for they are there anyway. The same on every machine and run.

    Args:
        model: whose parameters are left out.
        call: runs the forward pass, and the loss if that is to count.

    Examples:
        >>> model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
        >>> x = torch.zeros(5, 10)
        >>> saved_for_backward(model, lambda: model(x)) == 4 * (x.numel() + 5 * 20)
        True
        >>> _ = model.requires_grad_(False)
        >>> saved_for_backward(model, lambda: model(x))
        0
    """
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    # Keeping the storages alive keeps their addresses distinct until they are counted.
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        result = call()
    total = sum(storage.nbytes() for storage in kept.values())
    del result
    return total
