"""Saving and loading: plain tensors and plain values, never code."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from asteroid import models as asteroid_models
from asteroid.utils import hub_utils
from typing_extensions import Self

from ..bundled import bundled_file, is_bundled_id
from ..compat import load_checkpoint
from ..errors import LatrefError
from ..hub_errors import first_line, hub_error, lost_connection

#: What a folder with a published model may hold it under, the hub's name first.
WEIGHT_FILES = ("pytorch_model.bin", "model.pth", "best_model.pth")


class Serializable:
    """``serialize`` and ``from_pretrained`` for models of this package.

    Attributes:
        task: what the model was trained for (a key of ``data.wham.TASKS``), if its file says so.
    """

    iters_arg = "n_iters"
    task: str | None = None

    def serialize(self) -> dict[str, Any]:
        """The model as a dict of tensors and plain values, loadable by ``torch.load``'s default.

        Returns:
            ``model_name``, ``model_args``, ``state_dict`` and ``infos`` (software versions), and
            ``task`` if it is known.
        """
        from asteroid_latref import __version__

        conf = super().serialize()  # type: ignore[misc]
        conf["infos"]["software_versions"]["asteroid_latref_version"] = __version__
        if self.task is not None:
            conf["task"] = self.task
        return plain(conf)

    @classmethod
    def from_pretrained(cls, pretrained_model_conf_or_path: Any, **overrides: Any) -> Self:
        """Loads a model from a file, a folder, a dict of :meth:`serialize`, this package, the hub.

        Args:
            pretrained_model_conf_or_path: path, dict, ``"latref/NAME"`` for a model that comes with
                the package (:func:`asteroid_latref.bundled.bundled_names`), ``"user/repo"`` or
                ``"user/repo@revision"``.
            **overrides: ``n_blocks`` cuts the model at that exit; ``n_iters`` and any other
                constructor argument replace the stored ones.

        Raises:
            LatrefError: nothing there, not a model, another class, damaged, from a newer version
                that this one does not understand, or more than tensors and plain values.
        """
        conf = load_conf(pretrained_model_conf_or_path)
        name = _name(pretrained_model_conf_or_path)
        model_class = model_class_of(conf, name)
        if not issubclass(model_class, cls):
            raise LatrefError(
                f"{name}: holds a {conf['model_name']}, which is no {cls.__name__}; "
                f"load it with {conf['model_name']}.from_pretrained"
            )
        n_blocks, n_iters = overrides.pop("n_blocks", None), overrides.pop("n_iters", None)
        model: Any = _build(model_class, conf, overrides, name)
        if n_blocks is not None:
            try:
                model = model.truncate(n_blocks)
            except ValueError as err:
                raise LatrefError(f"{name}: {first_line(err)}") from err
        if n_iters is not None:  # after the cut, which it may be one count per block of
            cut = {"model_args": model.get_model_args(), "state_dict": model.state_dict()}
            model = _build(model_class, {**conf, **cut}, {model_class.iters_arg: n_iters}, name)
        model.task = conf.get("task")
        return model


def load_conf(source: Any) -> dict[str, Any]:
    """The dict that :meth:`Serializable.serialize` made.

    Args:
        source: the dict itself, a file, a folder with one of :data:`WEIGHT_FILES`, ``latref/NAME``
            (a bundled model), a hub id with or without ``@revision``, or one of Asteroid's Zenodo
            names. Downloads are cached and found again without a connection.

    Raises:
        LatrefError: see :meth:`Serializable.from_pretrained`.
    """
    conf = source if isinstance(source, Mapping) else read_weights(str(source))
    if not isinstance(conf, Mapping):
        raise LatrefError(f"{_name(source)}: not a serialized model (holds {_kind(conf)})")
    if "pytorch-lightning_version" in conf:
        raise LatrefError(
            f"{_name(source)}: a checkpoint of a training run, not a model; take best_model.pth "
            "of that run"
        )
    missing = {"model_name", "model_args", "state_dict"} - set(conf)
    if missing:
        raise LatrefError(
            f"{_name(source)}: not a serialized model ({', '.join(sorted(missing))} missing)"
        )
    return dict(conf)


def model_class_of(conf: Mapping[str, Any], name: str) -> Any:
    """The class of a serialized model: one of ours or of Asteroid's.

    Raises:
        LatrefError: neither knows it.
    """
    found = getattr(asteroid_models, str(conf["model_name"]), None)
    if isinstance(found, type) and issubclass(found, torch.nn.Module):
        return found
    raise LatrefError(f"{name}: unknown model class {conf['model_name']!r}{_newer(conf)}")


def plain(obj: Any) -> Any:
    """``obj`` with version strings, numpy scalars, paths and subclasses made plain values.

    Examples:
        >>> import numpy as np
        >>> plain({"version": torch.__version__, "sdr": np.float32(1.5), "at": Path("a")})["sdr"]
        1.5
    """
    if isinstance(obj, torch.Tensor):
        return obj.detach().cpu()
    if isinstance(obj, Mapping):
        return {str(k): plain(v) for k, v in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [plain(v) for v in obj]
    if isinstance(obj, (str, Path)):
        return str(obj)
    if hasattr(obj, "tolist"):  # numpy scalars and arrays
        return obj.tolist()
    return obj


def _find(source: str) -> Path:
    """The file of ``source`` on this machine, fetched if need be."""
    path = Path(source)
    if path.is_dir():
        found = [path / name for name in WEIGHT_FILES if (path / name).is_file()]
        if not found:
            raise LatrefError(f"{path}: no model in this folder ({', '.join(WEIGHT_FILES)})")
        return found[0]
    if is_bundled_id(source):
        return bundled_file(source)
    # What looks like a path is not asked of the hub: the answer would be about something else.
    if not path.exists() and (path.is_absolute() or re.search(r"\.(pth|pt|bin|ckpt)$", source)):
        raise LatrefError(f"{path}: no such file")
    try:
        return Path(hub_utils.cached_download(source))
    except Exception as err:
        cached = _cached(source) if lost_connection(err) else None
        if cached is None:
            raise hub_error(source, err) from err
        return cached


def _cached(source: str) -> Path | None:
    """What an earlier download left; the client itself looks there for some failures only."""
    repo_id, _, revision = source.partition("@")
    found = huggingface_hub.try_to_load_from_cache(
        repo_id, WEIGHT_FILES[0], cache_dir=hub_utils.CACHE_DIR, revision=revision or None
    )
    return Path(found) if isinstance(found, str) else None


def read_weights(source: str) -> Any:
    """What a checkpoint holds, whoever wrote it, as long as it is tensors and plain values.

    Args and errors are those of :func:`load_conf`.
    """
    path, name = _find(source), source
    try:
        with open(path, "rb") as file:
            magic = file.read(2)
    except OSError as err:
        raise LatrefError(f"{name}: cannot be read ({err.strerror or first_line(err)})") from err
    if magic != b"PK" and magic[:1] != b"\x80":  # zip of today's torch, pickle of the old one
        raise LatrefError(f"{name}: not a checkpoint of torch.save")
    try:
        return load_checkpoint(path)
    except pickle.UnpicklingError as err:
        raise LatrefError(
            f"{name}: holds more than tensors and plain values ({_culprit(err)}); that could run "
            "code, so it was not loaded"
        ) from err
    except Exception as err:  # a damaged file can surface as nearly anything
        raise LatrefError(f"{name}: damaged or cut short; fetch or copy it again") from err


def _build(model_class: Any, conf: Mapping[str, Any], overrides: dict, name: str) -> Any:
    try:
        model = model_class(**{**conf["model_args"], **overrides})
    except (TypeError, ValueError) as err:
        raise LatrefError(f"{name}: {first_line(err)}{_newer(conf)}") from err
    try:
        model.load_state_dict(conf["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as err:
        lines = str(err).strip().splitlines()
        detail = lines[1].strip() if len(lines) > 1 else first_line(err)
        raise LatrefError(f"{name}: the weights do not fit ({detail:.120}){_newer(conf)}") from err
    return model


def _newer(conf: Mapping[str, Any]) -> str:
    """A hint for errors, if the file was written by a newer version of this package."""
    from asteroid_latref import __version__

    infos = conf.get("infos") or {}
    written = str((infos.get("software_versions") or {}).get("asteroid_latref_version", ""))
    if _parts(written) > _parts(__version__):
        return (
            f"; it was written by asteroid_latref {written}, this is {__version__}: "
            "pip install -U asteroid-latref"
        )
    return ""


def _parts(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)[:3]]


def _culprit(err: Exception) -> str:
    """The name of what the safe loader refused, out of its long explanation."""
    found = re.search(r"(?:GLOBAL|class|function|type) ([\w.]*\w)", str(err))
    return found.group(1) if found else "unreadable pickle"


def _kind(obj: Any) -> str:
    return "the weights alone" if isinstance(obj, torch.Tensor) else f"a {type(obj).__name__}"


def _name(source: Any) -> str:
    return "the given dict" if isinstance(source, Mapping) else str(source)
