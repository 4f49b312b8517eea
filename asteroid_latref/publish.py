"""From a finished experiment to the folder ``asteroid-upload`` and ``latref upload`` take."""

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from asteroid.models.publisher import save_publishable

from .errors import LatrefError, one_line_errors
from .experiment import BEST_MODEL, FINAL, load_experiment, without_folders
from .files import atomic_path
from .models import LatentRefinementModel
from .models.serialization import plain

PUBLISHED = "model.pth"
RECIPE = "asteroid_latref/egs/wham"


def publish(exp_dir: str | Path, publish_dir: str | Path | None = None) -> Path:
    """Writes ``model.pth``: weights, arguments, figures, configuration and licences of the data.

    Asteroid's ``save_publishable`` assembles it; what is written holds tensors and plain values
    only, and is loaded again with PyTorch's safe loader before it gets its name.

    Args:
        exp_dir: a trained and evaluated experiment.
        publish_dir: where to write; ``exp_dir/publish_dir`` if not given.

    Returns:
        The file written.

    Raises:
        LatrefError: not trained, not evaluated, or trained on data without licence information.
    """
    exp_dir = Path(exp_dir)
    path = Path(publish_dir or exp_dir / "publish_dir") / PUBLISHED
    _, conf = load_experiment(exp_dir)
    model_dict = torch.load(exp_dir / BEST_MODEL, map_location="cpu", weights_only=True)
    if not model_dict.get("licenses"):
        raise LatrefError(f"{exp_dir / BEST_MODEL}: says nothing of its data's licences; retrain")
    try:
        final = json.loads((exp_dir / FINAL).read_text())
    except (OSError, ValueError) as err:
        raise LatrefError(f"{exp_dir / FINAL}: cannot be read; evaluate first (stage 4)") from err
    figures = {key: value for key, value in final.items() if isinstance(value, float)}
    figures["n_items"] = final.get("n_items")
    figures["exits"] = final.get("exits", [])  # the card of the model shows all of them
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        published = save_publishable(folder, model_dict, figures, without_folders(conf), RECIPE)
    with atomic_path(path) as tmp:
        torch.save(plain(published), tmp)
        LatentRefinementModel.from_pretrained(str(tmp))
    return path


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``publish.py --exp_dir exp/tag [--publish_dir DIR]``: makes the folder to share."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--exp_dir", required=True, help="trained and evaluated experiment")
    parser.add_argument("--publish_dir", default=None, help="default: EXP_DIR/publish_dir")
    args = parser.parse_args(argv)
    path = publish(args.exp_dir, args.publish_dir)
    print(f"written: {path} (tensors and plain values; loads with PyTorch's safe loader)")
    return 0
