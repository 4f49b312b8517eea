"""Weights from elsewhere: Asteroid's Sudo rm -rf and the checkpoints of the papers' authors."""

import re
from collections.abc import Mapping, Sequence

import torch
from asteroid.models import SuDORMRFImprovedNet

from .gated import GatedSudoRmRf
from .sudormrf import IterSudoRmRf

PAPER_MAX_ITERS = 4


def from_asteroid(model: SuDORMRFImprovedNet) -> IterSudoRmRf:
    """Asteroid's improved Sudo rm -rf as an :class:`IterSudoRmRf` of one block, same outputs.

    Args:
        model: the model to convert; its weights are copied.

    Raises:
        ValueError: its encoder has no free filterbank.
    """
    args = model.get_model_args()
    if args["fb_name"] != "FreeFB":
        raise ValueError(f"only the free filterbank can be converted, not {args['fb_name']}")
    converted = IterSudoRmRf(
        n_src=args["n_src"],
        n_sub_blocks=args["num_blocks"],
        bn_chan=args["bn_chan"],
        hid_chan=args["in_chan"],
        upsampling_depth=args["upsampling_depth"],
        mask_act=args["mask_act"],
        n_filters=args["n_filters"],
        kernel_size=args["kernel_size"],
        stride=args["stride"],
        decoder="shared",
        sample_rate=args["sample_rate"],
        prelu_per_channel=True,
    )
    renamed = _rename(
        model.state_dict(),
        [
            (r"^encoder\.filterbank\._filters$", "encoder.filterbank._filters"),
            (r"^masker\.ln\.", "masker.bottleneck.0."),
            (r"^masker\.bottleneck\.", "masker.bottleneck.1."),
            (r"^masker\.sm\.", "masker.blocks.0."),
            (r"^masker\.mask_net\.", "masker.mask_nets.1.net."),
            (r"^decoder\.filterbank\._filters$", "decoder.1.weight"),
        ],
        # Asteroid's padder wraps the encoder and so saves its filters twice.
        skip=r"^encoder\.encoder\.",
    )
    converted.load_state_dict(renamed)
    return converted.train(model.training)


def from_sudo_rm_rf(
    state_dict: Mapping[str, torch.Tensor],
    n_iters: int | Sequence[int] | None = None,
    sample_rate: float = 8000,
) -> IterSudoRmRf | GatedSudoRmRf:
    """A checkpoint of the authors' code; every size is read off the shapes.

    Args:
        state_dict: weights of the authors' improved Sudo rm -rf, with or without a gate.
        n_iters: iterations of each block (at most, with a gate), which no shape tells. Default: 1,
            with a gate 4.
        sample_rate: in Hz, which no shape tells.

    Returns:
        A :class:`GatedSudoRmRf` if the weights hold a gate, else an :class:`IterSudoRmRf`.

    Raises:
        ValueError: the weights are of another network; the message names a key.
    """
    weights = _rename(
        {k.removeprefix("module."): v for k, v in state_dict.items()},
        [
            (r"^encoder\.weight$", "encoder.filterbank._filters"),
            (r"^ln\.", "masker.bottleneck.0."),
            (r"^bottleneck\.", "masker.bottleneck.1."),
            (r"^sm\.", "masker.blocks.0."),
            (r"^super_blocks\.", "masker.blocks."),
            (r"^gating_module\.dim_reduce\.([01])\.", r"masker.gate.reduce.\1."),
            (r"^gating_module\.dim_reduce\.2\.", "masker.gate.judge."),
            (r"^mask_net\.", "masker.mask_nets.LAST.net."),
            (r"^decoder\.weight$", "decoder.LAST.weight"),
        ],
    )
    n_blocks = _count(weights, r"masker\.blocks\.(\d+)\.")
    weights = {k.replace("LAST", str(n_blocks)): v for k, v in weights.items()}
    sizes = _sizes(weights, n_blocks)
    sizes["sample_rate"] = sample_rate
    gate = weights.get("masker.gate.judge.weight")
    model: IterSudoRmRf | GatedSudoRmRf
    if gate is None:
        model = IterSudoRmRf(n_iters=n_iters or 1, **sizes)
    else:
        limits = n_iters or PAPER_MAX_ITERS
        model = GatedSudoRmRf(max_iters=limits, gate_kernel=gate.shape[-1], **sizes)
    model.load_state_dict(weights)
    return model.eval()


def _sizes(weights: Mapping[str, torch.Tensor], n_blocks: int) -> dict:
    """Constructor arguments that the shapes of renamed weights tell."""
    try:
        n_filters, _, kernel_size = weights["encoder.filterbank._filters"].shape
        first = "masker.blocks.0.0."
        hid_chan, bn_chan, _ = weights[first + "proj_1x1.conv.weight"].shape
        n_masks = weights[f"masker.mask_nets.{n_blocks}.net.1.weight"].shape[0]
        n_in, _, _ = weights[f"decoder.{n_blocks}.weight"].shape
        slopes = weights[first + "final_norm.act.weight"].numel()
    except (KeyError, ValueError) as err:
        raise ValueError(f"no checkpoint of the improved Sudo rm -rf: {err}") from err
    return {
        "n_src": n_masks // n_filters,
        "n_blocks": n_blocks,
        "n_sub_blocks": _count(weights, r"masker\.blocks\.0\.(\d+)\."),
        "bn_chan": bn_chan,
        "hid_chan": hid_chan,
        "upsampling_depth": _count(weights, r"masker\.blocks\.0\.0\.spp_dw\.(\d+)\."),
        "n_filters": n_filters,
        "kernel_size": kernel_size,
        "stride": kernel_size // 2,
        "decoder": "joint" if n_in == n_masks else "shared",
        "prelu_per_channel": slopes > 1,
    }


def _rename(
    weights: Mapping[str, torch.Tensor], rules: list[tuple[str, str]], skip: str = r"^$"
) -> dict[str, torch.Tensor]:
    renamed = {}
    for key, value in weights.items():
        if re.match(skip, key):
            continue
        for pattern, replacement in rules:
            if re.match(pattern, key):
                renamed[re.sub(pattern, replacement, key)] = value.detach().clone()
                break
        else:
            raise ValueError(f"no place for the weight {key!r} in this model")
    return renamed


def _count(weights: Mapping[str, torch.Tensor], pattern: str) -> int:
    """Largest index that ``pattern`` captures among the keys, plus one."""
    found = [int(m.group(1)) for m in (re.match(pattern, key) for key in weights) if m]
    return max(found) + 1 if found else 0
