"""Mixes a corpus, WHAM!-like: of your own recordings, or of those fetched from Debian."""

import argparse

from _command import command

from asteroid_latref.data.debian import fetch_recordings
from asteroid_latref.data.open_corpus import CorpusOptions, build_corpus
from asteroid_latref.errors import LatrefError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out_dir", required=True)
    parser.add_argument("--speech_dir", help="one subfolder per speaker; default: Debian's voices")
    parser.add_argument("--noise_dir", help="default: Debian's music, babble and shaped noise")
    parser.add_argument(
        "--with_debian",
        choices=["true", "false"],
        default="false",
        help="mix Debian's recordings too, and babble and shaped noise",
    )
    parser.add_argument("--corpus_name", help="for the cards of models trained on it")
    parser.add_argument("--cache_dir", help="default: the user's cache folder")
    parser.add_argument("--sample_rate", type=int, default=CorpusOptions.sample_rate)
    parser.add_argument("--n_tr", type=int, default=CorpusOptions.n_tr)
    parser.add_argument("--n_cv", type=int, default=CorpusOptions.n_cv)
    parser.add_argument("--n_tt", type=int, default=CorpusOptions.n_tt)
    parser.add_argument("--seed", type=int, default=CorpusOptions.seed)
    parser.add_argument(
        "--pool_hours",
        type=float,
        default=CorpusOptions.pool_hours,
        help="of training speech kept for mixing anew in every epoch (data.n_mixtures)",
    )
    parser.add_argument(
        "--noise_kinds", help="some of recordings,babble,shaped; twice: twice as often"
    )
    args = parser.parse_args()
    own = bool(args.speech_dir)
    if own != bool(args.noise_dir):
        raise LatrefError("--speech_dir and --noise_dir belong together: give both or none")
    with_debian = not own or args.with_debian == "true"
    kinds = args.noise_kinds or ("recordings,babble,shaped" if with_debian else "recordings")
    speech, noise = ([args.speech_dir], [args.noise_dir]) if own else ([], [])
    if with_debian:
        for folders, folder in zip(
            (speech, noise), fetch_recordings(args.cache_dir or None), strict=True
        ):
            folders.append(folder)
    options = CorpusOptions(
        sample_rate=args.sample_rate,
        n_tr=args.n_tr,
        n_cv=args.n_cv,
        n_tt=args.n_tt,
        seed=args.seed,
        noise_kinds=tuple(kinds.split(",")),
        pool_hours=args.pool_hours,
    )
    name = args.corpus_name or ("OwnCorpus" if own else "OpenCorpus")
    print(f"mixtures: {build_corpus(args.out_dir, speech, noise, options, name)}")


command(main)
