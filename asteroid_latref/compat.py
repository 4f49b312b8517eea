"""The one place that knows what today's torch stack breaks in Asteroid 0.7.

``import asteroid_latref`` calls :func:`apply` before anything imports Asteroid. Each repair is one
function: its docstring names the symptom, and it does nothing where the symptom is absent. The
installation is never touched; everything happens in the running interpreter.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, NoReturn

import torch


def apply() -> None:
    """Apply every repair whose symptom is present. Calling it again changes nothing."""
    silence_pkg_resources_warning()
    forget_failed_import()
    use_torchaudio_without_extension()
    import_torchmetrics_without_pkg_resources()
    import_asteroid_without_requests()
    load_asteroid_checkpoints_safely()
    resolve_only_models()
    register_models_idempotently()


# --- imports ------------------------------------------------------------------------------------


def forget_failed_import() -> None:
    """Let Asteroid be imported afresh where that failed before this package was imported.

    Symptom: ``AttributeError: module 'asteroid' has no attribute 'utils'``: the submodules of a
    package whose import failed stay behind, and the next import does not attach them again.
    """
    if "asteroid" not in sys.modules:
        _forget("asteroid")


def use_torchaudio_without_extension() -> None:
    """Import torchaudio without its compiled part.

    Symptom: ``import torchaudio`` raises ``OSError`` (its library is linked to a CUDA that this
    torch does not bring), ``RuntimeError`` (another CUDA version) or ``ImportError``. All that
    Asteroid needs of torchaudio is Python. Where even that fails, torchaudio counts as absent,
    which Asteroid tolerates: only its STOI loss is missing then.
    """
    if importlib.util.find_spec("torchaudio") is None or _imports("torchaudio"):
        return
    _forget("torchaudio")
    sys.modules["torchaudio._extension"] = _NoExtension("torchaudio._extension")
    if not _imports("torchaudio"):
        _forget("torchaudio")
        sys.modules["torchaudio"] = None  # type: ignore[assignment]


def import_asteroid_without_requests() -> None:
    """Import Asteroid without requests, which it uses and does not declare.

    Symptom: ``ModuleNotFoundError: No module named 'requests'`` from ``import asteroid``. It lists
    the models on the hub with it and loads none; that one function reports the absence.
    """
    if importlib.util.find_spec("requests") is None:
        with _stand_in(_Absent("requests")):
            importlib.import_module("asteroid.utils.hub_utils")


def import_torchmetrics_without_pkg_resources() -> None:
    """Import torchmetrics 0.11, Asteroid's pin, without ``pkg_resources``.

    Symptom: ``ModuleNotFoundError: No module named 'pkg_resources'`` from ``import
    pytorch_lightning`` with setuptools 82 or newer, or none. torchmetrics asks it for versions
    only.
    """
    if importlib.util.find_spec("pkg_resources") is None:
        stand_in: Any = types.ModuleType("pkg_resources")
        stand_in.get_distribution = importlib.metadata.distribution
        stand_in.DistributionNotFound = importlib.metadata.PackageNotFoundError
        with _stand_in(stand_in):
            importlib.import_module("torchmetrics")


def silence_pkg_resources_warning() -> None:
    """Keep one line about ``pkg_resources`` off every user's screen.

    Symptom: ``UserWarning: pkg_resources is deprecated as an API`` from setuptools 80 when
    torchmetrics 0.11 is imported; the user of this package can do nothing about it.
    """
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)


# --- checkpoints --------------------------------------------------------------------------------


def load_checkpoint(path: str | Path) -> Any:
    """Read a checkpoint to the CPU with torch's safe loader, never executing code from it.

    Args:
        path: a file written by ``torch.save``: tensors, plain values, and the harmless extras of
            :func:`harmless_globals`, which Asteroid's own files hold.

    Raises:
        pickle.UnpicklingError: the file holds anything else.
    """
    with harmless_globals():
        return torch.load(path, map_location="cpu", weights_only=True)


def harmless_globals() -> contextlib.AbstractContextManager[Any]:
    """Let ``torch.load(weights_only=True)`` read version strings and numpy scalars meanwhile.

    A ``TorchVersion`` is a ``str``; a numpy scalar is a dtype and a few bytes. Building them runs
    no code of the file's choice.
    """
    import numpy as np

    scalar: Any = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdFDSU"}
    return torch.serialization.safe_globals(
        [
            torch.torch_version.TorchVersion,
            (scalar, "numpy._core.multiarray.scalar"),
            (scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
            np.dtype,
            *dtypes,
        ]
    )


def load_asteroid_checkpoints_safely() -> None:
    """Let Asteroid's ``from_pretrained`` read the files that Asteroid writes.

    Symptom: ``pickle.UnpicklingError: Weights only load failed`` from
    ``BaseModel.from_pretrained(path)``, because ``serialize()`` stores ``torch.__version__`` (a
    ``TorchVersion``) and published files hold metrics as numpy scalars. ``weights_only=True`` stays
    in force: a file with code in it is still refused.
    """
    from asteroid.models.base_models import BaseModel

    original = BaseModel.from_pretrained.__func__
    if getattr(original, "reads_harmless_globals", False):
        return

    def from_pretrained(cls: type, pretrained: Any, *args: Any, **kwargs: Any) -> Any:
        with harmless_globals():
            return original(cls, pretrained, *args, **kwargs)

    from_pretrained.__doc__ = original.__doc__
    from_pretrained.reads_harmless_globals = True  # type: ignore[attr-defined]
    BaseModel.from_pretrained = classmethod(from_pretrained)


# --- the registry of models ---------------------------------------------------------------------


def resolve_only_models() -> None:
    """Make ``asteroid.models.get`` return model classes and nothing else.

    Symptom: ``asteroid.models.get("upload_publishable")`` returns that function (any name in the
    module does), and ``from_pretrained`` calls it with arguments taken from the file.
    """
    import asteroid.models

    original: Callable[[Any], Any] = asteroid.models.get
    if _refuses(original, "get"):
        return

    def get(identifier: Any) -> Any:
        """Return the model class called ``identifier``, in any case."""
        found = original(identifier)
        if isinstance(found, type) and issubclass(found, torch.nn.Module):
            return found
        raise ValueError(f"Could not interpret model name : {identifier!s}")

    asteroid.models.get = get


def register_models_idempotently() -> None:
    """Let ``asteroid.models.register_model`` accept the same class a second time.

    Symptom: ``ValueError: Model ... already exists`` when a module that registers its model is
    reloaded, or a class is registered where it is defined and again by who uses it. Another class
    under a taken name is still refused.
    """
    import asteroid.models

    original: Callable[[type], None] = asteroid.models.register_model
    if not _refuses(original, asteroid.models.ConvTasNet):
        return

    def register_model(custom_model: type) -> None:
        """Make ``custom_model`` known to ``asteroid.models.get`` and ``from_pretrained``."""
        name = custom_model.__name__
        known = vars(asteroid.models).get(name)
        if isinstance(known, type) and _definition(known) == _definition(custom_model):
            setattr(asteroid.models, name, custom_model)
        else:
            original(custom_model)

    asteroid.models.register_model = register_model


# --- tools --------------------------------------------------------------------------------------


class _Absent(types.ModuleType):
    """A package that is not installed: imports, and says so when it is really used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # find_spec() raises on modules without one

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"{self.__name__} is not installed: pip install {self.__name__}")


class _NoExtension(types.ModuleType):
    """``torchaudio._extension`` as it is in a build without compiled parts."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_IS_"):
            return False
        if name.startswith(("fail_if_no", "lazy_import", "_load_lib", "_check")):
            return _needs_extension
        raise AttributeError(name)


def _needs_extension(func: Callable[..., Any] | str | None = None) -> Any:
    """Stand in for torchaudio's decorators and loaders: import quietly, fail when used."""

    def fail(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("this torchaudio was built for another torch: install its match")

    fail.is_available = lambda: False  # type: ignore[attr-defined]  # torchaudio 2.8 asks its sox
    return fail


@contextlib.contextmanager
def _stand_in(module: types.ModuleType) -> Iterator[None]:
    """Have ``module`` importable inside the block only, so that nobody else takes it for real."""
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def _imports(name: str) -> bool:
    """Tell whether ``import name`` works; broken binaries raise nearly anything."""
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def _forget(package: str) -> None:
    """Drop what a failed import left behind, so that the next one starts afresh."""
    for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
        del sys.modules[name]


def _refuses(func: Callable[..., Any], argument: Any) -> bool:
    """Tell whether ``func(argument)`` raises ``ValueError``."""
    try:
        func(argument)
    except ValueError:
        return True
    return False


def _definition(cls: type) -> tuple[str, str]:
    """Where a class is defined: equal for a class and its reloaded self."""
    return cls.__module__, cls.__qualname__
