"""Our models in Asteroid's registry, so that its tools find them by name."""

from asteroid import models as asteroid_models
from asteroid.models.base_models import BaseModel


def register(*model_classes: type[BaseModel]) -> None:
    """Makes ``asteroid.models.get(name)`` find the classes; again is no error.

    Raises:
        ValueError: Asteroid knows another model of that name.
    """
    for model_class in model_classes:
        known = getattr(asteroid_models, model_class.__name__, None)
        if known is not model_class:
            asteroid_models.register_model(model_class)
