"""Experiment configuration: one YAML file whose keys are constructor arguments."""

import difflib
import inspect
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from .. import models
from ..data.wham import get_task
from ..errors import LatrefError


@dataclass(frozen=True)
class DataConf:
    """Section ``data``: arguments of :class:`~asteroid_latref.data.wham.WhamDataset`.

    Attributes:
        task: a key of ``data.wham.TASKS``.
        sample_rate: Hz.
        segment: training chunks in seconds; shorter recordings are zero-padded.
        train_dir: folder with the training manifests; usually given on the command line.
        valid_dir: folder with the validation manifests.
        n_mixtures: training mixtures of an epoch, mixed anew each time from the recordings of the
            corpus (:class:`~asteroid_latref.data.dynamic.DynamicMixtures`); 0: those of train_dir.
    """

    task: str
    sample_rate: int
    segment: float
    train_dir: str | None = None
    valid_dir: str | None = None
    n_mixtures: int = 0


@dataclass(frozen=True)
class OptimConf:
    """Section ``optim``: the optimizer and its learning rate, a function of the epoch alone.

    Attributes:
        optimizer: a name ``asteroid.engine.optimizers`` knows.
        lr: learning rate of epoch 0.
        weight_decay: L2 penalty.
        lr_divisor: the learning rate is divided by this every ``lr_every`` epochs.
        lr_every: epochs between two divisions.
    """

    optimizer: str
    lr: float
    weight_decay: float
    lr_divisor: float
    lr_every: int


@dataclass(frozen=True)
class TrainingConf:
    """Section ``training``: how long, how fast, on what.

    Attributes:
        epochs: passes over the training items.
        batch_size: examples per device and step.
        num_workers: loader processes; 0 loads in the training process.
        seed: of initialisation, order, crops and remixing.
        remix: shuffle the sources of a batch into new mixtures (online remixing).
        gradient_clip: largest L2 norm of a gradient.
        vary_speed: largest change of speed of each source in a training batch, up or down; chunks
            get shorter by as much (see :func:`~asteroid_latref.engine.augment.augment`).
        vary_colour: largest gain of a band of each source, up or down, in dB.
        init: trained model to begin with (what ``from_pretrained`` takes), of the same sizes.
        max_time: ``DD:HH:MM:SS`` after which training ends early, whatever ``epochs`` says.
        accelerator, devices, num_nodes, strategy, precision: passed to Lightning's ``Trainer``.
    """

    epochs: int
    batch_size: int
    num_workers: int
    seed: int
    remix: bool
    gradient_clip: float
    vary_speed: float = 0.0
    vary_colour: float = 0.0
    init: str | None = None
    max_time: str | None = None
    accelerator: str = "auto"
    devices: int | str = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"


SECTIONS: dict[str, type] = {"data": DataConf, "optim": OptimConf, "training": TrainingConf}
OPTIONAL_SECTIONS: dict[str, type] = {}


def register_section(name: str, section: type) -> None:
    """Lets configuration files carry a section ``name``, a dataclass, that may be left out."""
    OPTIONAL_SECTIONS[name] = section


@dataclass(frozen=True)
class Conf:
    """A checked configuration.

    Attributes:
        data: section ``data``.
        model: section ``model``: ``name`` and the constructor arguments of that class.
        optim: section ``optim``.
        training: section ``training``.
        extra: the optional sections that are present, by name (see :func:`register_section`).
        path: the file, for messages.
    """

    data: DataConf
    model: dict[str, Any]
    optim: OptimConf
    training: TrainingConf
    extra: dict[str, Any] = field(default_factory=dict)
    path: str = "conf"

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Plain nested dictionaries, as the file has them."""
        sections = {"data": self.data, "optim": self.optim, "training": self.training}
        plain = {name: asdict(section) for name, section in {**sections, **self.extra}.items()}
        return {"data": plain.pop("data"), "model": dict(self.model), **plain}


def load_conf(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Conf:
    """Reads and checks a configuration file.

    Args:
        path: YAML file.
        overrides: ``["--key", "value", ...]``; a key belongs to the first section that has it
            (``sample_rate``: ``data``), or is written ``section.key``. ``--model NAME`` stands for
            ``--model.name NAME``.

    Raises:
        LatrefError: the file, a section, a key or a value is wrong; the message says which.
    """
    path = str(path)
    try:
        raw = yaml.safe_load(Path(path).read_text())
    except OSError as err:
        raise LatrefError(f"{path}: cannot be read ({err.strerror})") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise LatrefError(f"{path}: is not YAML ({_one_line(err)})") from err
    known = ["data", "model", "optim", "training", *OPTIONAL_SECTIONS]
    if not isinstance(raw, dict) or not all(isinstance(v, dict) for v in raw.values()):
        raise LatrefError(f"{path}: must hold sections of `key: value` lines: {', '.join(known)}")
    _check_keys(path, "", raw, known, required=["data", "model", "optim", "training"])
    _apply_overrides(path, raw, overrides)
    return conf_from_dict(raw, path)


def conf_from_dict(raw: Mapping[str, Mapping[str, Any]], path: str = "conf") -> Conf:
    """The checked configuration of nested dictionaries (see :func:`load_conf`)."""
    classes = {**SECTIONS, **OPTIONAL_SECTIONS}
    built = {
        name: _section(path, name, classes[name], raw[name]) for name in raw if name in classes
    }
    conf = {name: built.pop(name) for name in SECTIONS}
    data: DataConf = conf["data"]
    try:
        get_task(data.task)
    except LatrefError as err:
        raise LatrefError(f"{path}: data.task: {err}") from err
    return Conf(model=_model_section(path, raw["model"], data), extra=built, path=path, **conf)


def build_model(conf: Conf) -> Any:
    """The model of a configuration, freshly initialised.

    Raises:
        LatrefError: the constructor refuses its arguments; the message names the file.
    """
    args = {key: value for key, value in conf.model.items() if key != "name"}
    try:
        return get_model_class(conf.model["name"])(**args)
    except (TypeError, ValueError) as err:
        raise LatrefError(f"{conf.path}: section model: {_one_line(err)}") from err


def get_model_class(name: str) -> type[models.LatentRefinementModel]:
    """The model class of that name.

    Raises:
        LatrefError: there is none; the message names the nearest.
    """
    found = getattr(models, str(name), None) if name in models.__all__ else None
    if isinstance(found, type) and issubclass(found, models.LatentRefinementModel):
        return found
    known = [n for n in models.__all__ if n != "LatentRefinementModel"]
    raise LatrefError(f"unknown model {name!r}{_near(name, known)}")


def model_keys(name: str) -> dict[str, bool]:
    """Constructor arguments of the model class ``name``: argument -> may be left out."""
    parameters = inspect.signature(get_model_class(name)).parameters.values()
    return {p.name: p.default is not p.empty for p in parameters}


def _model_section(path: str, raw: Mapping[str, Any], data: DataConf) -> dict[str, Any]:
    if "name" not in raw:
        raise LatrefError(f"{path}: section model: `name` is missing")
    try:
        keys = model_keys(raw["name"])
    except LatrefError as err:
        raise LatrefError(f"{path}: section model: {err}") from err
    # What the task decides is not repeated in the file, but may be set there on purpose.
    decided = {"n_src": len(get_task(data.task).slots), "sample_rate": data.sample_rate}
    model = {**raw, **{k: v for k, v in decided.items() if k in keys and k not in raw}}
    needed = [key for key, optional in keys.items() if not optional]
    _check_keys(path, "model", model, ["name", *keys], needed)
    return model


def _section(path: str, name: str, cls: type, raw: Mapping[str, Any]) -> Any:
    assert is_dataclass(cls)
    optional = {f.name: _has_default(f) for f in fields(cls)}
    _check_keys(path, name, raw, optional, [key for key, can in optional.items() if not can])
    hints = typing.get_type_hints(cls)
    values = {k: _coerce(f"{path}: {name}.{k}", v, hints[k]) for k, v in raw.items()}
    return cls(**values)


def _has_default(one: Any) -> bool:
    return one.default is not MISSING or one.default_factory is not MISSING


def _coerce(where: str, value: Any, hint: Any) -> Any:
    """``value`` as ``hint``; YAML reads ``1e-3`` as text, so numbers are converted."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if any(isinstance(value, o) and (o is bool or not isinstance(value, bool)) for o in options):
        return value
    if float in options and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    wanted = " or ".join("null" if o is type(None) else o.__name__ for o in options)
    raise LatrefError(f"{where}: is {value!r}, must be {wanted}")


def _check_keys(
    path: str, section: str, raw: Iterable[str], known: Iterable[str], required: Iterable[str]
) -> None:
    place, kind = (f"section {section}: ", "key") if section else ("", "section")
    for key in raw:
        if key not in known:
            raise LatrefError(f"{path}: {place}unknown {kind} {key!r}{_near(key, known)}")
    for key in required:
        if key not in raw:
            raise LatrefError(f"{path}: {place}{kind} {key!r} is missing")


def _near(key: Any, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f" (known: {', '.join(names)})"


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())


def _apply_overrides(path: str, raw: dict[str, Any], overrides: Sequence[str]) -> None:
    """Writes ``--key value`` pairs into ``raw``, in place; values are read as YAML."""
    classes = {**SECTIONS, **OPTIONAL_SECTIONS}
    for flag, text in _pairs(overrides):
        if flag == "model":
            flag = "model.name"
        homes = {s: [f.name for f in fields(c)] for s, c in classes.items() if s in raw}
        homes["model"] = ["name", *model_keys(raw["model"].get("name", ""))]
        section, _, key = flag.rpartition(".")
        found = [section] if section in homes else [s for s, keys in homes.items() if flag in keys]
        if not found or key not in homes[found[0]]:
            known = [key for keys in homes.values() for key in keys]
            raise LatrefError(f"{path}: unknown option --{flag}{_near(key, known)}")
        raw[found[0]][key] = yaml.safe_load(text)


def _pairs(overrides: Sequence[str]) -> Iterable[tuple[str, str]]:
    rest = list(overrides)
    while rest:
        flag, equals, text = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            raise LatrefError(f"unexpected argument {flag!r}; options are --key value")
        if not equals:
            if not rest:
                raise LatrefError(f"option {flag} needs a value")
            text = rest.pop(0)
        yield flag[2:], text
