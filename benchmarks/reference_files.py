"""What the reference corpus is made of, for docs/data.md: the list of files and two tables.

    python -m benchmarks.reference_files egs/wham/data/reference

Writes ``docs/results/reference_files.csv`` (every recording: split, seconds, SHA-256) and
``reference_speech.inc`` and ``reference_noise.inc``.
"""

import hashlib
import json
import sys
from pathlib import Path

import pandas as pd

from asteroid_latref.audio import audio_info, list_audio
from asteroid_latref.data.debian import fetch_recordings
from asteroid_latref.data.debian_sources import VOICES
from asteroid_latref.data.layout import SPLITS
from asteroid_latref.files import atomic_path

OUT = Path(__file__).parents[1] / "docs" / "results"
CREDITS = Path(__file__).parents[1] / "egs/wham/local/reference/noise_licenses.json"


def files(root, corpus):
    """One row per recording, LibriSpeech's and the ambient ones first, then Debian's music."""
    _, music = fetch_recordings()
    speakers = {name: split for split in SPLITS for name in corpus["speakers"][split]}
    noises = {name: split for split in SPLITS for name in corpus["noise"][split]}
    rows = []
    for kind, folder in (("speech", root / "speech"), ("ambience", root / "noise")):
        for path in list_audio(folder):
            split = speakers[path.parent.name] if kind == "speech" else noises[path.name]
            rows.append(row(kind, split, path, path.relative_to(folder)))
    for path in list_audio(music):
        rows.append(row("music", noises[path.name], path, path.name))
    return pd.DataFrame(rows)


def row(kind, split, path, name):
    frames, rate = audio_info(path)
    return {
        "kind": kind,
        "split": split,
        "file": str(name),
        "seconds": round(frames / rate, 2),
        "rate": rate,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def speech_table(table, corpus):
    lines = ["| speakers of | tr | cv | tt | minutes |", "|---|---|---|---|---|"]
    ours = table[table.kind == "speech"]
    counts = [str((ours.split == split).sum()) for split in SPLITS]
    minutes = ours.seconds.sum() / 60
    lines.append("| LibriSpeech train-clean-100, one utterance each | " + " | ".join(counts))
    lines[-1] += f" | {minutes:.1f} |"
    debian = {voice.name for voice in VOICES}
    named = [", ".join(n for n in corpus["speakers"][s] if n in debian) for s in SPLITS]
    lines.append("| Debian's telephone prompts | " + " | ".join(named) + " | as above |")
    return "\n".join(lines) + "\n"


def noise_table(table):
    credits = {c["title"].split(" (")[0].lower(): c for c in json.loads(CREDITS.read_text())}
    lines = ["| recording | split | seconds | author | licence |", "|---|---|---|---|---|"]
    order = table.assign(place=table.split.map(SPLITS.index)).sort_values(["place", "file"])
    for one in order[order.kind != "speech"].itertuples():
        stem = Path(one.file).stem
        credit = credits.get(stem.replace("-", " "))
        title = f"[{stem}]({credit['title_link']})" if credit else f"{stem} (music)"
        author, terms = (credit["author"], credit["license"]) if credit else ("see above", "")
        lines.append(f"| {title} | {one.split} | {one.seconds:.1f} | {author} | {terms} |")
    minutes = table[table.split == "tr"].groupby("kind").seconds.sum() / 60
    n_test = ((table.kind != "speech") & (table.split == "tt")).sum()
    lines += [
        "",
        f"It is small: {minutes['ambience']:.0f} minutes of ambience and {minutes['music']:.0f} of"
        f" music to learn from, {n_test} recordings to test with.",
    ]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.reference_files FOLDER (of prepare_reference.sh)")
    root = Path(sys.argv[1])
    corpus = json.loads((root / "corpus" / "corpus.json").read_text())
    table = files(root, corpus)
    texts = {
        "reference_files.csv": table.to_csv(index=False),
        "reference_speech.inc": speech_table(table, corpus),
        "reference_noise.inc": noise_table(table),
    }
    for name, text in texts.items():
        with atomic_path(OUT / name) as tmp:
            tmp.write_text(text)
    print(f"written: {', '.join(texts)} in {OUT.name}")


if __name__ == "__main__":
    main()
