"""Our models in Asteroid's registry, so that its tools find them by name."""

from typing import Any

from asteroid import models as asteroid_models
from asteroid.models.base_models import BaseModel

from ..bundled import bundled_file, is_bundled_id
from .serialization import Serializable, load_conf, model_class_of


def register(*model_classes: type[BaseModel]) -> None:
    """Makes ``asteroid.models.get(name)`` find the classes; again is no error.

    Raises:
        ValueError: Asteroid knows another model of that name.
    """
    for model_class in model_classes:
        known = getattr(asteroid_models, model_class.__name__, None)
        if known is not model_class:
            asteroid_models.register_model(model_class)


def serve_operating_points() -> None:
    """Lets ``BaseModel.from_pretrained`` load our models at a point, and bundled ones by name.

    With ``n_blocks=`` or ``n_iters=`` Asteroid would build the smaller model and then fail to fit
    the weights of the whole one; ``latref/NAME`` it would ask of the hub.
    """
    original = BaseModel.from_pretrained.__func__
    if getattr(original, "serves_operating_points", False):
        return

    def from_pretrained(cls: type, source: Any, *args: Any, **kwargs: Any) -> Any:
        if is_bundled_id(source):
            source = str(bundled_file(source))
        if not args and kwargs.keys() & {"n_blocks", "n_iters"}:
            conf = load_conf(source)
            model_class = model_class_of(conf, str(source) if isinstance(source, str) else "")
            if issubclass(model_class, Serializable):
                return model_class.from_pretrained(conf, **kwargs)
        return original(cls, source, *args, **kwargs)

    from_pretrained.__doc__ = original.__doc__
    vars(from_pretrained).update(vars(original), serves_operating_points=True)
    BaseModel.from_pretrained = classmethod(from_pretrained)
