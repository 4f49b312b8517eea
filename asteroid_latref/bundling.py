"""From a trained and evaluated experiment to a model that comes with the package."""

import argparse
import io
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from . import bundled
from .bundled import CARD_FILE, MODEL_FILE, PREFIX
from .card import make_card
from .catalog import as_markdown, describe_bundled
from .credits import without_licence
from .data.wham import WhamDataset
from .errors import LatrefError, one_line_errors
from .experiment import FINAL, load_experiment
from .files import atomic_dir, atomic_path
from .gating import SUMMARY, measure, summarize
from .golden import golden_outputs, write_golden
from .models import GatedSudoRmRf, LatentRefinementModel
from .models.serialization import load_conf, plain
from .profile import profile_model
from .publish import publish
from .separate import slots_of
from .training_run import describe_run

MOST_PER_MODEL = 4_000_000
MOST_IN_ALL = 16_000_000
# A path of the machine: absolute, or out of the recipe's folder. Links have two slashes.
_PATH = re.compile(r"""(?:^|[\s"'=:(])((?:/(?!path/to)|~/|\.\./)[\w.~-][^\s"']*)""")


def bundle(
    exp_dir: str | Path,
    name: str,
    command: str,
    golden_dir: str | Path,
    hardware: str | None = None,
    test_dir: str | Path | None = None,
    more_limits: Sequence[str] = (),
) -> Path:
    """Writes ``weights/NAME`` (model and card) and the model's golden outputs.

    Args:
        exp_dir: a trained and evaluated experiment.
        name: of the model, without ``latref/``.
        command: repeats the training, from the recipe's folder.
        golden_dir: where ``NAME.npz`` goes.
        hardware: what the training ran on. Default: this machine.
        test_dir: manifests to measure the operating points on that are no exits; they stay
            "not measured" without.
        more_limits: sentences for the card's list of limits.

    Returns:
        The folder written. One of that name is replaced, once all is known to be right.

    Raises:
        LatrefError: bad name; not trained or not evaluated; recordings of unstated licence; a path
            of this machine in what would be shipped; more than :data:`MOST_PER_MODEL` bytes, or
            :data:`MOST_IN_ALL` with everything bundled.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name == bundled.EXAMPLES:
        raise LatrefError(f"--name {name}: small letters, digits and hyphens; not 'examples'")
    exp_dir = Path(exp_dir)
    conf = _published(exp_dir)
    _, training_conf = load_experiment(exp_dir)
    final = json.loads((exp_dir / FINAL).read_text())
    model = LatentRefinementModel.from_pretrained(conf).eval()
    infos = conf["infos"]
    infos["training_run"] = describe_run(exp_dir, training_conf, final, command, hardware)
    infos["final_metrics"] |= _more_figures(model, conf, exp_dir, test_dir)
    infos["limits"] = [*limits(model, final), *more_limits]
    conf = plain(conf)
    check_shippable(conf)
    buffer = io.BytesIO()  # a name on disk would go into the file: equal models are equal files
    torch.save(conf, buffer)
    weights = buffer.getvalue()
    card = bundled_card(conf, name)
    check_size(name, len(weights) + len(card.encode()), MOST_PER_MODEL)
    golden = golden_outputs(model)
    folder = bundled.WEIGHTS_DIR / name
    with atomic_dir(folder) as tmp:
        (tmp / MODEL_FILE).write_bytes(weights)
        (tmp / CARD_FILE).write_text(card, encoding="utf-8")
        LatentRefinementModel.from_pretrained(str(tmp / MODEL_FILE))
        with atomic_path(Path(golden_dir) / f"{name}.npz") as npz:
            write_golden(npz, golden)
        if folder.exists():
            shutil.rmtree(folder)
    return folder


def bundled_card(conf: Mapping[str, Any], name: str) -> str:
    """The card of a bundled model, from what its file holds and nothing else."""
    model = LatentRefinementModel.from_pretrained(conf).eval()
    points = profile_model(model, seconds=1.0, repeats=0)
    card = make_card(conf, PREFIX + name, slots_of(model)[0], points)
    if card.data.to_dict().get("license_link"):
        card.data.license_link = CARD_FILE  # the list of works stands in the card itself
    return str(card)


def limits(model: LatentRefinementModel, final: Mapping[str, Any]) -> list[str]:
    """What a user should not expect, in plain words, from what was trained and measured."""
    rate, data = model.sample_rate, final["data"]
    n_speech = slots_of(model)[1]
    who = (
        "One talker: a second one is taken for speech or for noise, as it happens."
        if n_speech == 1
        else f"{('', 'One', 'Two', 'Three')[n_speech]} talkers at the same time: more are not "
        "separated, and which of the outputs is whose is open."
    )
    return [
        f"{rate:g} Hz: nothing above {rate / 2000:g} kHz comes out (`--resample` converts).",
        who,
        "Trained and tested on mixtures made by adding up recordings: no common room, no talker "
        "who answers another or speaks up against the noise.",
        f"The figures are means over {final['n_items']} mixtures of {data['dataset']}; other "
        "voices and other noise give other figures. They cannot be compared with those of WHAM!.",
    ]


def check_shippable(conf: Mapping[str, Any]) -> None:
    """Refuses what must not be passed on.

    Raises:
        LatrefError: a recording without a stated licence, or a path of this machine.
    """
    silent = without_licence(conf.get("licenses") or [])
    if silent or not conf.get("licenses"):
        raise LatrefError(
            f"trained on {', '.join(silent) or 'unknown recordings'}, whose licence is not stated: "
            "put a licenses.json beside the recordings and prepare the data again (stage 1)"
        )
    for key, value in conf.items():
        found = None if key == "state_dict" else _machine_path(value)
        if found:
            raise LatrefError(f"{key} names a path of this machine ({found}); write a relative one")


def _published(exp_dir: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return load_conf(str(publish(exp_dir, folder)))


def _more_figures(
    model: LatentRefinementModel,
    conf: Mapping[str, Any],
    exp_dir: Path,
    test_dir: str | Path | None,
) -> dict[str, Any]:
    """``gate``: what it did with the test set; ``points``: figures of what is no exit."""
    found: dict[str, Any] = {}
    if isinstance(model, GatedSudoRmRf):
        try:
            summary = json.loads((exp_dir / SUMMARY).read_text())
            found["gate"] = summary["models"]["gated"]
            fixed = summary["curve"]["fixed"] if model.n_blocks == 1 else []
        except (OSError, ValueError, KeyError) as err:
            raise LatrefError(
                f"{exp_dir / SUMMARY}: cannot be read; run local/gating.py (stage 4) first"
            ) from err
        found["points"] = [
            {"n_blocks": 1, "n_iters": [n], "si_sdr_imp": row["si_sdr_imp"]}
            for n, row in enumerate(fixed)
            if n
        ]
    elif test_dir is not None:
        dataset = WhamDataset(test_dir, str(model.task), int(model.sample_rate), segment=None)
        found["points"] = [
            {"n_blocks": k, "n_iters": list(counts), **_measured(conf, k, counts, dataset)}
            for k, counts in model.operating_points()
            if counts != tuple(model.n_iters[:k])
        ]
    return found


def _measured(
    conf: Mapping[str, Any], n_blocks: int, counts: Sequence[int], dataset: WhamDataset
) -> dict[str, float]:
    at = LatentRefinementModel.from_pretrained(conf, n_blocks=n_blocks, n_iters=list(counts))
    return {"si_sdr_imp": summarize(measure(at, dataset))["si_sdr_imp"]}


def _machine_path(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next(filter(None, map(_machine_path, value.values())), None)
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(_machine_path, value)), None)
    found = _PATH.search(value) if isinstance(value, str) else None
    return found.group(1) if found else None


def check_size(name: str, size: int, most: int = MOST_IN_ALL) -> None:
    """Refuses ``weights/NAME`` if it has too many bytes, alone or with what else is bundled.

    Raises:
        LatrefError: more than ``most``, or more than :data:`MOST_IN_ALL` in all.
    """
    if size > most:
        raise LatrefError(f"{name}: {size:,} bytes; {most:,} at most are bundled")
    others = [
        path
        for folder in bundled.WEIGHTS_DIR.glob("[!.]*")
        for path in folder.rglob("*")
        if folder.name != name and path.is_file()
    ]
    total = size + sum(path.stat().st_size for path in others)
    if total > MOST_IN_ALL:
        raise LatrefError(
            f"{name}: with it {total:,} bytes are bundled; {MOST_IN_ALL:,} at most; remove a model"
        )


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``bundle.py --exp_dir exp/TAG --name NAME --command "./run.sh ..."``: ships a model."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--exp_dir", required=True, help="trained and evaluated experiment")
    parser.add_argument("--name", required=True, help="the model becomes latref/NAME")
    parser.add_argument("--command", required=True, help="what repeats the training, for the card")
    parser.add_argument("--hardware", default=None, help="of the training; default: this machine")
    parser.add_argument("--test_dir", default=None, help="measure all operating points there")
    parser.add_argument("--limit", action="append", default=[], help="sentence for the card")
    parser.add_argument("--golden_dir", required=True, help="where NAME.npz goes")
    parser.add_argument("--table", required=True, help="file for the table of bundled models")
    args = parser.parse_args(argv)
    folder = bundle(
        args.exp_dir,
        args.name,
        args.command,
        args.golden_dir,
        args.hardware,
        args.test_dir,
        args.limit,
    )
    with atomic_path(args.table) as tmp:
        tmp.write_text(as_markdown(describe_bundled()))
    print(f"written: {folder}/, {Path(args.golden_dir) / args.name}.npz, {args.table}")
    return 0
