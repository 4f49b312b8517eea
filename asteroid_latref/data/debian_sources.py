"""What the open corpus is made of: Debian's telephone voices and music, and their credits.

The credits are those of the packages' copyright files (``/usr/share/doc/*/copyright``).
"""

from dataclasses import dataclass
from typing import Any

from .licenses import license_dict

_CC = "https://creativecommons.org/licenses"
_BY = ("CC BY 3.0", f"{_CC}/by/3.0/")
_BY_SA = ("CC BY-SA 3.0", f"{_CC}/by-sa/3.0/")
_BY_SA_IT = ("CC BY-SA 3.0 IT", f"{_CC}/by-sa/3.0/it/")
_GPL = ("GPL-2", "https://www.gnu.org/licenses/old-licenses/gpl-2.0.html")
_BSD = ("BSD-like licence", "https://tracker.debian.org/pkg/asterisk-prompt-fr-armelle")
_SOUNDS = "https://downloads.asterisk.org/pub/telephony/sounds/"
_CORE = "asterisk-core-sounds-{}-wav"
_MUSIC = ("asterisk-moh-opsound-wav",)

#: Files (by their stems) that hold tones or screams, whoever spoke the rest.
NOT_SPEECH = (
    "ascending-2tone",
    "beep",
    "beeperr",
    "confbridge-join",
    "confbridge-leave",
    "descending-2tone",
    "tt-monkeys",
)


@dataclass(frozen=True)
class Source:
    """One voice, or the music of one artist.

    Attributes:
        name: of its folder.
        split: where all of it goes.
        packages: the Debian packages that hold it.
        credit: licence dict.
        prefix: what the files' names begin with.
    """

    name: str
    split: str
    packages: tuple[str, ...]
    credit: dict[str, Any]
    prefix: str = ""


# The two short, GSM-coded voices validate: a voice under the GPL is then in no weights. The only
# man and the woman with most recordings are there to learn from.
VOICES = (
    Source(
        "allison",
        "tr",
        (_CORE.format("en"), _CORE.format("es")),
        license_dict(
            "Asterisk core sounds (English, Spanish)",
            _SOUNDS,
            "Allison Smith",
            "http://www.theivrvoice.com",
            _BY_SA,
        ),
    ),
    Source(
        "carlo",
        "tr",
        (_CORE.format("it"),),
        license_dict(
            "Asterisk core sounds (Italian)",
            _SOUNDS,
            "Carlo Flora",
            "http://www.carloflora.com",
            _BY,
        ),
    ),
    Source(
        "ivrvoice",
        "tr",
        (_CORE.format("ru"),),
        license_dict(
            "Asterisk core sounds (Russian)", _SOUNDS, "Maxim Topal", "http://www.ivrvoice.ru", _BY
        ),
    ),
    Source(
        "armelle",
        "cv",
        ("asterisk-prompt-fr-armelle",),
        license_dict(
            "French voice prompts for Asterisk",
            "http://public.aclap.com/asterisk-1.2-sounds-fr-armelle.tar.gz",
            "Armelle Desjardins, Michel Gutierrez",
            "http://public.aclap.com/",
            _BSD,
        ),
    ),
    Source(
        "july",
        "cv",
        ("asterisk-prompt-es-co",),
        license_dict(
            "Colombian Spanish voice prompts for Asterisk",
            "http://www.avatar.com.co/",
            "July E. Jiménez, Avatar Ltda.",
            "http://www.avatar.com.co/",
            _GPL,
        ),
    ),
    Source(
        "june",
        "tt",
        (_CORE.format("fr"),),
        license_dict(
            "Asterisk core sounds (French)",
            _SOUNDS,
            "June Wallack",
            "http://www.junewallack.com",
            _BY_SA,
        ),
    ),
    Source(
        "menardi",
        "tt",
        ("asterisk-prompt-it-menardi-wav",),
        license_dict(
            "Italian voice prompts for Asterisk",
            "http://www.voip.ammdomus.it",
            "Marco Menardi, Paola Dal Zot",
            "http://www.voip.ammdomus.it",
            _BY_SA_IT,
        ),
    ),
)

MUSIC = (
    Source(
        "macroform",
        "tr",
        _MUSIC,
        license_dict(
            "cold day, robot dity, the simplicity",
            _SOUNDS,
            "Paul Shuler (Macroform)",
            "http://macroform.bandcamp.com/",
            _BY_SA,
        ),
        "macroform-",
    ),
    Source(
        "reno_project",
        "cv",
        _MUSIC,
        license_dict(
            "system",
            _SOUNDS,
            "Reno Project",
            "http://www.jamendo.com/en/album/23661",
            _BY_SA,
        ),
        "reno_project-",
    ),
    Source(
        "manolo_camp",
        "tt",
        _MUSIC,
        license_dict(
            "morning coffee",
            _SOUNDS,
            "Manolo Camp",
            "http://ccmixter.org/people/ManoloCamp",
            _BY_SA,
        ),
        "manolo_camp-",
    ),
)
