"""What several commands share: options, loading a model on a device, printing."""

import argparse
import json
from typing import Any

import torch
from asteroid.models.base_models import BaseModel
from torch import nn

from ..errors import LatrefError
from ..models.base import LatentRefinementModel
from ..models.serialization import load_conf, model_class_of

MODEL_HELP = (
    "a file, a folder with model.pth, latref/NAME (see latref models), "
    "or user/repo[@revision] on the hub"
)


def add_command(commands: Any, name: str, doc: str, example: str, run: Any) -> Any:
    """A subparser whose help ends with an example."""
    parser = commands.add_parser(
        name,
        help=doc.splitlines()[0].rstrip("."),
        description=doc,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_device(parser: Any) -> None:
    """``--device``."""
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cuda if there is one)"
    )


def pick_device(name: str | None) -> torch.device:
    """The device of that name, tried out.

    Raises:
        LatrefError: there is none.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        raise LatrefError(f"--device {name}: no such device here; try cpu") from err
    return device


def load_model(source: str, device: torch.device) -> nn.Module:
    """Any model of this package or of Asteroid, in eval mode, on ``device``.

    Raises:
        LatrefError: as :meth:`Serializable.from_pretrained`.
    """
    conf = load_conf(source)
    model_class = model_class_of(conf, source)
    if issubclass(model_class, LatentRefinementModel):
        conf_or_model = model_class.from_pretrained(conf)
    else:
        try:
            conf_or_model = BaseModel.from_pretrained(conf)
        except (TypeError, ValueError, RuntimeError) as err:
            raise LatrefError(f"{source}: {str(err).splitlines()[0]}") from err
        conf_or_model.task = conf.get("task")
    model: nn.Module = conf_or_model
    return model.to(device).eval()


def own_model(source: str, device: torch.device) -> LatentRefinementModel:
    """As :func:`load_model`, for commands that need exits.

    Raises:
        LatrefError: it is a model of Asteroid's own.
    """
    model = load_model(source, device)
    if not isinstance(model, LatentRefinementModel):
        raise LatrefError(
            f"{source}: a {type(model).__name__} has no exits; models of this package"
        )
    return model


def counts(text: str) -> int | list[int]:
    """``3`` or ``1,2,4``: one count for every block, or one per block."""
    numbers = [int(part) for part in text.split(",")]
    return numbers[0] if len(numbers) == 1 else numbers


def print_json(obj: Any) -> None:
    """Indented JSON on standard output."""
    print(json.dumps(obj, indent=2))
