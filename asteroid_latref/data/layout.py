"""Names that the corpora, the manifests and the tasks share."""

SPLITS = ("tr", "cv", "tt")
MIXTURES = ("mix_clean", "mix_both", "mix_single")
SOURCES = ("s1", "s2", "noise")
FOLDERS = (*MIXTURES, *SOURCES)


def wav_folder(sample_rate: int, mode: str) -> str:
    """WHAM!'s name for a rate and a mode.

    Examples:
        >>> wav_folder(8000, "min")
        'wav8k/min'
    """
    return f"wav{sample_rate // 1000}k/{mode}"
