"""The one exception that is meant to be read by a person."""


class LatrefError(ValueError):
    """A mistake in what was given: one line that names the file or option and what to do.

    Commands print it as ``error: <message>`` and exit with status 2, without a traceback.
    """

    def __init__(self, message: str = "") -> None:
        # PyTorch raises a loader process's error again with that process's traceback as message.
        if message.startswith("Caught LatrefError"):
            message = message.rstrip().rpartition("LatrefError: ")[2]
        super().__init__(message)
