"""``latref convert``: checkpoints from elsewhere into models of this package."""

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from asteroid.models import SuDORMRFImprovedNet
from asteroid.models.base_models import BaseModel

from ..data.wham import TASKS
from ..errors import LatrefError
from ..files import atomic_path
from ..models.base import LatentRefinementModel
from ..models.convert import from_asteroid, from_sudo_rm_rf
from ..models.serialization import read_weights
from .common import add_command, counts

DOC = """Convert a Sudo rm -rf checkpoint to this package.
Takes those of Asteroid (SuDORMRFImprovedNet) and of the papers' authors. Sizes are read off the
weights; what no shape tells can be given."""

EXAMPLE = """  latref convert authors_checkpoint.pt model.pth --task sep_noisy --n-iters 4"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to ``latref``."""
    parser = add_command(commands, "convert", DOC, EXAMPLE, run)
    parser.add_argument("source", metavar="CHECKPOINT", help="file, or an Asteroid model id")
    parser.add_argument("out", metavar="OUT", help="file to write, model.pth for one")
    parser.add_argument(
        "--n-iters", type=counts, metavar="N[,N...]", help="iterations per block (authors' files)"
    )
    parser.add_argument(
        "--sample-rate", type=float, metavar="HZ", help="default: 8000 (authors' files)"
    )
    parser.add_argument("--task", choices=list(TASKS), help="names the outputs")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")


def run(args: argparse.Namespace) -> int:
    """Converts and says what came out."""
    out = Path(args.out)
    if out.exists() and not args.overwrite:
        raise LatrefError(f"{out}: exists; add --overwrite")
    try:
        model = convert(read_weights(args.source), args.n_iters, args.sample_rate)
    except (ValueError, TypeError, RuntimeError) as err:
        if isinstance(err, LatrefError) and args.source in str(err):
            raise
        raise LatrefError(f"{args.source}: {str(err).splitlines()[0]}") from err
    model.task = args.task
    buffer = io.BytesIO()
    torch.save(model.serialize(), buffer)
    with atomic_path(out) as tmp:
        tmp.write_bytes(buffer.getbuffer())
    size = sum(p.numel() for p in model.parameters())
    print(f"written: {out} ({type(model).__name__}, {model.n_src} outputs, {size:,} parameters)")
    return 0


def convert(weights: Any, n_iters: Any = None, sample_rate: float | None = None) -> Any:
    """A model of this package from what a checkpoint holds.

    Args:
        weights: the authors' state dict, perhaps wrapped, or Asteroid's serialized model.
        n_iters: iterations, for the authors' files.
        sample_rate: in Hz, for the authors' files.

    Raises:
        LatrefError: options that the file itself answers.
        ValueError: weights of another network.
    """
    if not isinstance(weights, Mapping):
        raise ValueError(f"holds a {type(weights).__name__}, not named weights")
    if "model_name" not in weights:
        state = weights.get("state_dict", weights)
        return from_sudo_rm_rf(state, n_iters, sample_rate or 8000)
    if n_iters is not None or sample_rate is not None:
        raise LatrefError("--n-iters and --sample-rate are known from this file; leave them out")
    model = BaseModel.from_pretrained(dict(weights))
    if isinstance(model, LatentRefinementModel):
        raise ValueError(f"is a {weights['model_name']} of this package already")
    if not isinstance(model, SuDORMRFImprovedNet):
        raise ValueError(f"holds a {weights['model_name']}; SuDORMRFImprovedNet can be converted")
    return from_asteroid(model)
