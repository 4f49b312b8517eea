"""The three test mixtures that come with the package, chosen by a rule and not by ear."""

import argparse
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile as sf

from . import bundled
from .audio import read_audio
from .bundling import check_size
from .credits import credit_lines, without_licence
from .data.licenses import read_corpus_file
from .errors import LatrefError, one_line_errors
from .evaluate import ALL_ROWS
from .examples import PARTS, examples_dir
from .files import atomic_dir

#: Name of the example, and the quantile of SI-SDRi it is nearest to.
QUANTILES = {"lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75}


def bundle_examples(json_dir: str | Path, exp_dir: str | Path, sample_rate: int = 8000) -> Path:
    """Writes ``weights/examples``: three test mixtures with their parts, and their credits.

    They are those nearest to the lower quartile, the median and the upper quartile of the SI-SDRi
    that a model reached at its deepest exit.

    Args:
        json_dir: manifests of the test set, with the corpus file of its credits.
        exp_dir: experiment that was evaluated on that test set.
        sample_rate: of the test set, in Hz.

    Returns:
        The folder written; an earlier one is replaced, once the new one is whole.

    Raises:
        LatrefError: no credits or unstated licences; an evaluation of another test set; unreadable
            files.
    """
    json_dir, exp_dir = Path(json_dir), Path(exp_dir)
    corpus = read_corpus_file(json_dir)
    if corpus is None:
        raise LatrefError(f"{json_dir}: has no corpus.json, so nothing says who may pass it on")
    credits = [credit for kind in ("speech", "noise") for credit in corpus["licenses"][kind]]
    if silent := without_licence(credits):
        raise LatrefError(f"{json_dir}: the licence of {', '.join(silent)} is not stated")
    chosen = choose(exp_dir / ALL_ROWS)
    lists = {part: _paths(json_dir / f"{part}.json") for part in PARTS}
    folder = examples_dir()
    with atomic_dir(folder) as tmp:
        for name, row in chosen.items():
            index = _index(lists, row["item"], json_dir)
            (tmp / name).mkdir()
            for part, paths in lists.items():
                wav, rate = read_audio(paths[index], sample_rate)
                (tmp / name / f"{part}.flac").write_bytes(_flac(wav, rate))
        readme = _readme(chosen, exp_dir.name, corpus["name"], credits)
        (tmp / bundled.CARD_FILE).write_text(readme, encoding="utf-8")
        written = [path.stat().st_size for path in tmp.rglob("*") if path.is_file()]
        check_size(bundled.EXAMPLES, sum(written))
        if folder.exists():
            shutil.rmtree(folder)
    return folder


def choose(table: Path) -> dict[str, dict[str, Any]]:
    """Which items of ``all_metrics.csv`` are nearest to the quantiles of SI-SDRi.

    Returns:
        ``item`` (file) and ``si_sdr_imp`` (dB) by the name of the example.

    Raises:
        LatrefError: the table cannot be read, or has fewer than three items.
    """
    try:
        rows = pd.read_csv(table)
        rows = rows[rows["n_blocks"] == rows["n_blocks"].max()].dropna(subset=["si_sdr_imp"])
    except (OSError, ValueError, KeyError) as err:
        raise LatrefError(f"{table}: cannot be read; evaluate first (stage 4)") from err
    if len(rows) < len(QUANTILES):
        raise LatrefError(f"{table}: has {len(rows)} items; at least {len(QUANTILES)} are needed")
    chosen = {}
    wanted = rows["si_sdr_imp"].quantile(list(QUANTILES.values()))
    for name, value in zip(QUANTILES, wanted, strict=True):
        best = rows.loc[(rows["si_sdr_imp"] - value).abs().idxmin()]
        chosen[name] = {"item": str(best["item"]), "si_sdr_imp": float(best["si_sdr_imp"])}
        rows = rows.drop(index=best.name)  # each mixture once
    return chosen


def _paths(manifest: Path) -> list[Path]:
    try:
        return [Path(path) for path, _ in json.loads(manifest.read_text())]
    except (OSError, ValueError, TypeError) as err:
        raise LatrefError(f"{manifest}: no such manifest; run stage 2") from err


def _index(lists: dict[str, list[Path]], item: str, json_dir: Path) -> int:
    """Where an item stands in the manifests; mixtures of one item have one file name."""
    names = [path.name for path in lists["mix_both"]]
    if names.count(Path(item).name) != 1:
        raise LatrefError(f"{json_dir}: does not list {Path(item).name}, which was evaluated")
    return names.index(Path(item).name)


def _flac(wav: Any, rate: int) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, wav, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _readme(
    chosen: dict[str, dict[str, Any]], exp_name: str, dataset: str, credits: list[dict[str, Any]]
) -> str:
    lines = [
        "# Test mixtures",
        "",
        f"Three mixtures of the test set of {dataset}, for `latref demo`. Each folder holds",
        f"{', '.join(PARTS)} (FLAC, 16 bit). They are those whose SI-SDRi at the deepest exit of",
        f"`{exp_name}` is nearest to the quantile they are named after:",
        "",
        "| folder | file in the test set | SI-SDRi (dB) |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {Path(row['item']).name} | {row['si_sdr_imp']:.2f} |"
        for name, row in chosen.items()
    ]
    lines += ["", "## Licence", ""]
    lines += [
        f"Cut, scaled and added up from recordings of {dataset}, which consists of these works,"
    ]
    lines += ["each under its own licence:", "", *credit_lines(credits)]
    return "\n".join(lines) + "\n"


@one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """``bundle_examples.py --json_dir data/wav8k/min/tt --exp_dir exp/TAG``: ships mixtures."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--json_dir", required=True, help="manifests of the test set")
    parser.add_argument("--exp_dir", required=True, help="experiment evaluated on it")
    parser.add_argument("--sample_rate", type=int, default=8000)
    args = parser.parse_args(argv)
    folder = bundle_examples(args.json_dir, args.exp_dir, args.sample_rate)
    size = sum(path.stat().st_size for path in folder.rglob("*.flac"))
    print(f"written: {folder}/ ({len(QUANTILES)} mixtures, {size:,} bytes)")
    return 0
