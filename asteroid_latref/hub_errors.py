"""What the hub's refusals and a lost connection mean, in one sentence each."""

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from .errors import LatrefError

_MEANINGS = {
    401: "the hub refused the token; log in again (hf auth login) or pass another",
    403: "the token may not do this; it needs write access to the repository",
    404: "no such repository, revision or file on the hub (or it is private: log in)",
    413: "the hub finds a file too large",
    429: "the hub asks to slow down; try again in a few minutes",
}


def hub_error(what: str, err: BaseException) -> LatrefError:
    """The sentence for an error of the hub's client.

    ``HfHubHTTPError`` is the one exception all versions of the client share; a broken connection
    surfaces as whatever their HTTP library raises (requests, httpx, httpx2), so everything else is
    described by its own last words.

    Args:
        what: the repository or file at hand.
        err: what the client raised.

    Examples:
        >>> print(hub_error("me/model", ConnectionResetError("peer closed\\nthe connection")))
        me/model: no connection to the hub (ConnectionResetError: peer closed); run the same again
    """
    chain = _chain(err)
    for link in chain:
        if isinstance(link, LatrefError):
            return link
        status = getattr(getattr(link, "response", None), "status_code", None)
        if isinstance(link, HfHubHTTPError) and status is not None:
            # The hub answers 401 to whoever asks, without a token, for what is not there.
            missing = isinstance(link, RepositoryNotFoundError) and status == 401
            meaning = _MEANINGS.get(404 if missing else status, first_line(link))
            return LatrefError(f"{what}: {meaning} (status {status})")
        if isinstance(link, HFValidationError):
            return LatrefError(f"{what}: no file of that name, and no repository id 'user/name'")
    root = chain[-1]
    return LatrefError(
        f"{what}: no connection to the hub ({type(root).__name__}: {first_line(root)}); "
        "run the same again"
    )


def lost_connection(err: BaseException) -> bool:
    """Whether the hub gave no answer at all, as opposed to a refusal."""
    answered = (getattr(link, "response", None) is not None for link in _chain(err))
    return not any(answered) and not any(isinstance(e, HFValidationError) for e in _chain(err))


def _chain(err: BaseException) -> list[BaseException]:
    """``err`` and what caused it, down to the first."""
    chain: list[BaseException] = []
    link: BaseException | None = err
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def first_line(err: BaseException) -> str:
    """The first line of an error's text, or the name of its class."""
    lines = str(err).strip().splitlines()
    return lines[0].strip() if lines else type(err).__name__
