"""What each operating point of a model costs: parameters, MACs, time and memory."""

import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .flops import count_flops

Row = dict[str, Any]


def profile_model(
    model: nn.Module,
    seconds: float = 4.0,
    batch: int = 1,
    repeats: int = 5,
    points: Sequence[tuple[int, Any]] | None = None,
) -> list[Row]:
    """Runs a model at each of its operating points and tells what that takes.

    Args:
        model: any model of this package, or any other with ``sample_rate`` that takes
            ``(batch, 1, time)``: then it has one row.
        seconds: length of the input.
        batch: examples per call.
        repeats: timed calls per operating point (after one that is not timed); 0 skips timing.
        points: ``(n_blocks, n_iters)`` to visit. Default: ``model.operating_points()``.

    Returns:
        One dict of plain values per operating point: ``n_blocks``, ``n_iters``, ``parameters``
        (of what is run), ``macs`` (per call), ``gmacs_per_second`` (per second of audio),
        ``real_time_factor`` (time / audio, median), ``peak_memory_bytes`` (what PyTorch allocates
        beyond the weights), ``seconds``, ``batch``, ``threads``, ``device``.

    Raises:
        ValueError: ``seconds`` or ``batch`` is not positive.

    Examples:
        >>> from asteroid_latref import IterSudoRmRf
        >>> model = IterSudoRmRf(2, n_iters=2, n_sub_blocks=1, bn_chan=8, hid_chan=16, n_filters=16)
        >>> rows = profile_model(model, seconds=0.5, repeats=0)
        >>> rows[1]["macs"] > rows[0]["macs"], rows[1]["parameters"] == rows[0]["parameters"]
        (True, True)
    """
    if seconds <= 0 or batch < 1:
        raise ValueError(f"seconds={seconds}, batch={batch}: must be positive")
    first = next(model.parameters())
    n_samples = max(1, round(seconds * getattr(model, "sample_rate", 8000)))
    wav = torch.randn(batch, 1, n_samples, device=first.device, dtype=first.dtype)
    if points is None:
        points = model.operating_points() if hasattr(model, "operating_points") else [(0, ())]  # type: ignore[operator]
    was_training = model.training
    model.eval()
    try:
        return [_profile_point(model, wav, seconds, repeats, *point) for point in points]
    finally:
        model.train(was_training)


def format_table(rows: Sequence[Row]) -> str:
    """Rows of :func:`profile_model` as a text table, one line per operating point.

    Examples:
        >>> row = dict(n_blocks=1, n_iters=[2], parameters=12345, macs=10**9,
        ...            gmacs_per_second=0.25, real_time_factor=0.01, peak_memory_bytes=2**20)
        >>> print(format_table([row]))
        blocks  iterations  parameters  GMAC/s of audio  real-time factor  peak memory (MiB)
        1       2               12,345            0.250            0.0100                1.0
    """
    titles = ("blocks", "iterations", "parameters", "GMAC/s of audio", "real-time factor")
    table = [(*titles, "peak memory (MiB)")]
    for row in rows:
        factor, peak = row["real_time_factor"], row["peak_memory_bytes"]
        table.append(
            (
                str(row["n_blocks"] or "-"),
                ",".join(map(str, row["n_iters"])) or "-",
                f"{row['parameters']:,}",
                f"{row['gmacs_per_second']:.3f}",
                "-" if factor is None else f"{factor:.4f}",
                "-" if peak is None else f"{peak / 2**20:.1f}",
            )
        )
    widths = [max(len(line[i]) for line in table) for i in range(len(titles) + 1)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    )


def count_macs(call: Callable[[], Any]) -> int:
    """Multiply-accumulates in ``call()``: products, convolutions, recurrent layers, attention."""
    return count_flops(call) // 2


def peak_allocated(call: Callable[[], Any], device: torch.device) -> int | None:
    """Most bytes in tensors at once during ``call()``, beyond those that existed before.

    The same on every run. On a CPU, what an operation needs inside itself is not in it.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return None
    with AllocationMeter() as meter:
        call()
    return meter.peak


class AllocationMeter(TorchDispatchMode):
    """Follows the memory of every tensor that operations create, until it is freed.

    Attributes:
        held: bytes alive now.
        peak: most bytes alive at once.

    Examples:
        >>> with AllocationMeter() as meter:
        ...     x = torch.zeros(100)
        ...     y = x[:50] + 1
        ...     del x
        >>> meter.held, meter.peak
        (200, 600)
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {id(t.untyped_storage()) for t in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if id(storage) not in before and id(storage) not in self._seen:
                self._follow(storage)
        return out

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, n_bytes = id(storage), storage.nbytes()

        def freed(_: Any) -> None:
            self.held -= n_bytes
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, freed)
        self.held += n_bytes
        self.peak = max(self.peak, self.held)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def n_parameters(model: nn.Module, n_blocks: int = 0) -> int:
    """Parameters that take part when ``n_blocks`` blocks are run; 0: all of them."""
    runs = _runs_at(model, n_blocks)
    return sum(p.numel() for name, p in model.named_parameters() if runs(name))


def _runs_at(model: nn.Module, n_blocks: int) -> Callable[[str], bool]:
    """Whether a parameter is used at an exit; the names are those of every model here."""

    def runs(name: str) -> bool:
        for place in ("masker.blocks.", "masker.mask_nets.", "decoder."):
            number, _, rest = name.removeprefix(place).partition(".")
            if n_blocks and name.startswith(place) and number.isdigit() and rest:
                if place == "masker.blocks.":
                    return int(number) < n_blocks
                return int(number) == n_blocks
        return True

    return runs


def _profile_point(
    model: nn.Module, wav: torch.Tensor, seconds: float, repeats: int, n_blocks: int, n_iters: Any
) -> Row:
    chosen = {"n_blocks": n_blocks, "n_iters": n_iters} if n_blocks else {}

    def call() -> Any:
        return model(wav, **chosen)

    with torch.no_grad():  # not inference_mode: the FLOP counter does not see into it
        macs = count_macs(call)
        peak = peak_allocated(call, wav.device)
    with torch.inference_mode():
        elapsed = [_elapsed(call, wav.device) for _ in range(repeats)]
    audio = seconds * wav.shape[0]
    return {
        "n_blocks": n_blocks,
        "n_iters": list(n_iters),
        "parameters": n_parameters(model, n_blocks),
        "macs": macs,
        "gmacs_per_second": macs / audio / 1e9,
        "real_time_factor": statistics.median(elapsed) / audio if elapsed else None,
        "peak_memory_bytes": peak,
        "seconds": seconds,
        "batch": wav.shape[0],
        "threads": torch.get_num_threads(),
        "device": str(wav.device),
    }


def _elapsed(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds that ``call()`` takes, the device's own work included."""
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
