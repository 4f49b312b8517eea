"""Writes the JSON manifests of mixtures in WHAM!'s layout."""

import argparse

from _command import command

from asteroid_latref.data.manifests import write_manifests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wav_dir", required=True, help="holds tr, cv and tt")
    parser.add_argument("--json_dir", required=True)
    parser.add_argument("--sample_rate", type=int, default=8000)
    parser.add_argument("--corpus_dir", help="holds corpus.json; not for WHAM! itself")
    args = parser.parse_args()
    counts = write_manifests(args.wav_dir, args.json_dir, args.sample_rate, args.corpus_dir or None)
    print(f"manifests: {args.json_dir}", ", ".join(f"{s} {n}" for s, n in counts.items()))


command(main)
