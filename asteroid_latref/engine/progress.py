"""A progress bar of one line per training."""

from pytorch_lightning.callbacks import TQDMProgressBar
from tqdm import tqdm


class OneLineBar(TQDMProgressBar):
    """Lightning's bar without the one of validation, which only takes moments here."""

    def init_validation_tqdm(self) -> tqdm:
        """A bar that is not shown."""
        return tqdm(disable=True)
