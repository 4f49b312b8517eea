"""Saving and loading: plain tensors and plain values, never code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from asteroid import models as asteroid_models
from asteroid.utils.hub_utils import cached_download
from typing_extensions import Self

from ..errors import LatrefError


class Serializable:
    """``serialize`` and ``from_pretrained`` for models of this package."""

    def serialize(self) -> dict[str, Any]:
        """The model as a dict of tensors and plain values, loadable by ``torch.load``'s default.

        Returns:
            ``model_name``, ``model_args``, ``state_dict`` and ``infos`` (software versions).
        """
        from asteroid_latref import __version__

        conf = super().serialize()  # type: ignore[misc]
        conf["infos"]["software_versions"]["asteroid_latref_version"] = __version__
        return plain(conf)

    @classmethod
    def from_pretrained(cls, pretrained_model_conf_or_path: Any, **overrides: Any) -> Self:
        """Loads a model from a file, a dict of :meth:`serialize`, or a hub id.

        Args:
            pretrained_model_conf_or_path: path, dict, ``"user/repo"`` or ``"user/repo@revision"``.
            **overrides: ``n_blocks`` cuts the model at that exit; ``n_iters`` and any other
                constructor argument replace the stored ones.

        Raises:
            LatrefError: the file holds no such model, or something else than tensors and values.
        """
        conf = load_conf(pretrained_model_conf_or_path)
        model_class = _model_class(conf["model_name"])
        if not issubclass(model_class, cls):
            raise LatrefError(
                f"{conf['model_name']} was saved there, which is no {cls.__name__}: "
                f"load it with {conf['model_name']}.from_pretrained"
            )
        n_blocks = overrides.pop("n_blocks", None)
        model: Any = model_class(**{**conf["model_args"], **overrides})
        model.load_state_dict(conf["state_dict"])
        return model if n_blocks is None else model.truncate(n_blocks)


def load_conf(source: Any) -> dict[str, Any]:
    """The dict that :meth:`Serializable.serialize` made, from a dict, a path or a hub id."""
    if isinstance(source, Mapping):
        conf = dict(source)
    else:
        path = cached_download(str(source))
        try:
            conf = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as err:
            raise LatrefError(
                f"{source}: holds more than tensors and plain values, so it was not loaded"
            ) from err
        except (RuntimeError, EOFError) as err:
            raise LatrefError(f"{source}: is no complete checkpoint; fetch it again") from err
    missing = {"model_name", "model_args", "state_dict"} - set(conf)
    if missing:
        raise LatrefError(f"{_name(source)}: not a serialized model, {sorted(missing)} missing")
    return conf


def plain(obj: Any) -> Any:
    """``obj`` with version strings, numpy scalars, paths and subclasses made plain values."""
    if isinstance(obj, torch.Tensor):
        return obj.detach().cpu()
    if isinstance(obj, Mapping):
        return {str(k): plain(v) for k, v in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [plain(v) for v in obj]
    if isinstance(obj, (str, Path)):
        return str(obj)
    if hasattr(obj, "item"):  # numpy scalars
        return obj.item()
    return obj


def _model_class(name: str) -> type:
    found = getattr(asteroid_models, name, None)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise LatrefError(f"unknown model class {name!r}: a newer asteroid_latref may know it")
    return found


def _name(source: Any) -> str:
    return "the given dict" if isinstance(source, Mapping) else str(source)
