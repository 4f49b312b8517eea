"""FLOPs of the operations that PyTorch's counter passes over: recurrent layers, CPU attention."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def count_flops(call: Callable[[], Any]) -> int:
    """FLOPs of the matrix products, convolutions, recurrent layers and attention in ``call()``.

    Examples:
        >>> lstm = torch.nn.LSTM(3, 5)
        >>> with torch.no_grad():
        ...     flops = count_flops(lambda: lstm(torch.zeros(7, 2, 3)))
        >>> flops == 2 * 7 * 2 * 4 * 5 * (3 + 5)
        True
    """
    with FlopCounterMode(display=False, custom_mapping=_uncounted()) as counter:
        call()
    return counter.get_total_flops()


def _mkldnn_rnn(x: Shape, w_input: Shape, w_hidden: Shape, *_: Any, **__: Any) -> int:
    """``x``: (time, batch, channels); weights: (gates · hidden, channels or hidden)."""
    return 2 * x[0] * x[1] * (math.prod(w_input) + math.prod(w_hidden))


def _cudnn_rnn(x: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    """``x``: (time, batch, channels) or (batch, time, channels); biases are vectors."""
    return 2 * x[0] * x[1] * sum(math.prod(w) for w in weights if len(w) == 2)


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """All ``(batch, heads, length, channels)``: the scores, then their product with the values."""
    batch, heads, length, channels = query
    return 2 * batch * heads * length * key[-2] * (channels + value[-1])


def _uncounted() -> dict[Any, Any]:
    aten = torch.ops.aten
    formulas = {
        "mkldnn_rnn_layer": _mkldnn_rnn,
        "_cudnn_rnn": _cudnn_rnn,
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
    }
    return {getattr(aten, name): f for name, f in formulas.items() if hasattr(aten, name)}
