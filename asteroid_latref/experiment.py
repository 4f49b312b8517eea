"""What an experiment's folder holds, for those who read it: no training code is needed for that."""

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
