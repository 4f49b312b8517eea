"""The licence of a model, composed from the licences of the recordings it was trained on."""

from collections.abc import Sequence
from typing import Any

# Names as credits write them, in the hub's spelling; from free to restrictive.
_HUB_NAMES = {
    "public domain": "cc0-1.0",
    "cc0": "cc0-1.0",
    "cc0 1.0": "cc0-1.0",
    "mit": "mit",
    "cc by 3.0": "cc-by-3.0",
    "cc by 4.0": "cc-by-4.0",
    "cc by-sa 3.0": "cc-by-sa-3.0",
    "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc by-nc 3.0": "cc-by-nc-3.0",
    "cc by-nc 4.0": "cc-by-nc-4.0",
    "cc by-nc-sa 3.0": "cc-by-nc-sa-3.0",
    "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0",
}
_ORDER = ("cc0", "mit", "cc-by-3", "cc-by-4", "cc-by-sa", "cc-by-nc-3", "cc-by-nc-4", "cc-by-nc-sa")


def hub_license(credits: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The licence fields of a model card.

    A model made of several works carries the most restrictive of their licences, if one of them
    covers the others; otherwise ``other`` with a name that says whether commercial use is excluded.

    Args:
        credits: licence dicts as Asteroid's ``save_publishable`` takes them.

    Returns:
        ``license``, and for ``other`` also ``license_name`` and ``license_link``.

    Examples:
        >>> by = {"license": "CC BY 4.0", "non_commercial": False}
        >>> hub_license([by, {"license": "CC BY-NC 4.0", "non_commercial": True}])
        {'license': 'cc-by-nc-4.0'}
        >>> ldc = {"license": "LDC User Agreement", "non_commercial": True}
        >>> hub_license([by, ldc])["license_name"]
        'non-commercial-see-card'
    """
    if not credits:
        return {"license": "unknown"}
    names = [_hub_name(str(credit.get("license", ""))) for credit in credits]
    restricted = non_commercial(credits)
    known = [name for name in names if name is not None]
    if len(known) == len(names):
        strictest = max(known, key=_rank)
        # Share-alike works allow no other licence than their own, so no stricter one either.
        shared_alike = {name for name in known if "-sa-" in name}
        if shared_alike <= {strictest} and ("-nc-" in strictest) == restricted:
            return {"license": strictest}
    name = "non-commercial-see-card" if restricted else "see-card"
    return {"license": "other", "license_name": name, "license_link": "LICENSE.md"}


def non_commercial(credits: Sequence[dict[str, Any]]) -> bool:
    """Whether any of the works excludes commercial use."""
    return any(bool(credit.get("non_commercial")) for credit in credits)


def without_licence(credits: Sequence[dict[str, Any]]) -> list[str]:
    """Titles of the works whose licence nobody stated: nothing made of them may be passed on."""
    silent = {"", "not stated", "unknown"}
    return [str(c.get("title")) for c in credits if str(c.get("license", "")).lower() in silent]


def license_note(name: str, credits: Sequence[dict[str, Any]]) -> str:
    """What a reader of the card has to know: the works, their licences, and what follows."""
    if not credits:
        return "The licences of the training data were not recorded. Ask before you use the model."
    lines = [f"{name} was trained on:", "", *credit_lines(credits)]
    lines += ["", "The code is MIT; the weights follow the data."]
    if non_commercial(credits):
        lines[-1] += " **Non-commercial use only**, because part of the data allows no other."
    return "\n".join(lines)


def credit_lines(credits: Sequence[dict[str, Any]]) -> list[str]:
    """A Markdown list item per work: what, by whom, under which licence."""
    lines = []
    for credit in credits:
        title = _link(credit.get("title"), credit.get("title_link"))
        author = _link(credit.get("author"), credit.get("author_link"))
        terms = _link(credit.get("license"), credit.get("license_link"))
        only = " (non-commercial use only)" if credit.get("non_commercial") else ""
        lines.append(f"- {title} by {author}, used under {terms}{only}")
    return lines


def _hub_name(license: str) -> str | None:
    key = " ".join(license.lower().replace("creative commons", "cc").split())
    key = key.replace("cc-by", "cc by").removesuffix(" international").removesuffix(" unported")
    return _HUB_NAMES.get(key) or (key if key in _HUB_NAMES.values() else None)


def _rank(name: str) -> int:
    return max(i for i, prefix in enumerate(_ORDER) if name.startswith(prefix))


def _link(text: Any, target: Any) -> str:
    return f"[{text}]({target})" if target else str(text or "unknown")
