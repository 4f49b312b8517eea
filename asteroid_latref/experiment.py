"""What an experiment's folder holds, for those who read it: no training code is needed for that."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import LatrefError
from .models import LatentRefinementModel

CONF = "conf.yml"
BEST_MODEL = "best_model.pth"
HISTORY = "history.csv"
FINAL = "final_metrics.json"


def load_experiment(exp_dir: Path) -> tuple[LatentRefinementModel, dict[str, Any]]:
    """The best model of an experiment and the configuration it was trained with.

    Raises:
        LatrefError: the folder holds no finished training.
    """
    for name in (BEST_MODEL, CONF):
        if not (exp_dir / name).is_file():
            raise LatrefError(f"{exp_dir / name}: not there; finish the training first (stage 3)")
    model = LatentRefinementModel.from_pretrained(str(exp_dir / BEST_MODEL))
    return model, yaml.safe_load((exp_dir / CONF).read_text())


def without_folders(value: Any) -> Any:
    """Settings without the folders of the machine they were used on: nobody else has them.

    Paths below the recipe's folder stay as they are.

    Examples:
        >>> without_folders({"data": {"train_dir": "/home/me/tr", "valid_dir": "data/cv"}})
        {'data': {'train_dir': 'tr', 'valid_dir': 'data/cv'}}
    """
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and (os.path.isabs(value) or value.startswith(("../", "~"))):
        return Path(value).name
    return value
