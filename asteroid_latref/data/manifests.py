"""JSON manifests in Asteroid's form: lists of ``[path, number of samples]``."""

import os
from pathlib import Path

from tqdm import tqdm

from ..audio import audio_info
from ..errors import LatrefError
from ..files import write_json
from .layout import FOLDERS, SPLITS
from .licenses import CORPUS_FILE, POOL, read_corpus_file


def write_manifests(
    wav_dir: str | os.PathLike[str],
    json_dir: str | os.PathLike[str],
    sample_rate: int,
    corpus_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Writes ``json_dir/{split}/{folder}.json`` for mixtures in WHAM!'s layout.

    Args:
        wav_dir: holds ``tr``, ``cv`` and ``tt``, each with WHAM!'s six folders.
        json_dir: where to; what is there is replaced.
        sample_rate: rate the files must have, in Hz.
        corpus_dir: where ``corpus.json`` lies; it is copied beside the manifests, for the credits.
            None: WHAM! itself, whose credits are known.
        progress: whether to show a bar.

    Returns:
        Number of mixtures per split.

    Raises:
        LatrefError: missing or empty folder, unreadable file, wrong sample rate, or a source that
            is not as long as its mixture.
    """
    corpus = None if corpus_dir is None else read_corpus_file(corpus_dir)
    if corpus_dir is not None and (corpus is None or not corpus.get("complete")):
        raise LatrefError(f"{corpus_dir}: the mixtures are not finished; run stage 1 again")
    wavs = {(s, f): _list_wavs(Path(wav_dir, s, f)) for s in SPLITS for f in FOLDERS}
    with tqdm(total=sum(map(len, wavs.values())), desc="files", disable=not progress) as bar:
        for split in SPLITS:
            names = [path.name for path in wavs[split, "mix_both"]]
            lengths: list[int] = []
            for folder in FOLDERS:
                files = wavs[split, folder]
                _check_names(Path(wav_dir, split), folder, names, [path.name for path in files])
                entries = []
                for i, path in enumerate(files):
                    n_samples, _ = audio_info(path, sample_rate)
                    if folder == FOLDERS[0]:
                        lengths.append(n_samples)
                    if n_samples != lengths[i]:
                        raise LatrefError(
                            f"{path}: has {n_samples} samples, its {FOLDERS[0]} has {lengths[i]}; "
                            "sources and mixtures must be equally long"
                        )
                    entries.append([str(path), n_samples])
                    bar.update()
                write_json(Path(json_dir, split, f"{folder}.json"), entries)
            credits = Path(json_dir, split, CORPUS_FILE)
            if corpus is None:
                credits.unlink(missing_ok=True)
            else:
                pool = Path(corpus_dir, POOL).resolve()  # type: ignore[arg-type]
                write_json(credits, {**corpus, "pool": str(pool)} if pool.is_dir() else corpus)
    return {split: len(wavs[split, "mix_both"]) for split in SPLITS}


def _list_wavs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise LatrefError(f"{folder}: no such folder; make the mixtures first (stage 1)")
    found = sorted(p for p in folder.resolve().glob("*.wav") if not p.name.startswith("."))
    if not found:
        raise LatrefError(f"{folder}: holds no wav files; make the mixtures first (stage 1)")
    return found


def _check_names(split_dir: Path, folder: str, wanted: list[str], found: list[str]) -> None:
    if found != wanted:
        odd = sorted(set(wanted) ^ set(found))[0]
        raise LatrefError(
            f"{split_dir}: {odd} is in only one of mix_both and {folder}; make the mixtures again"
        )
