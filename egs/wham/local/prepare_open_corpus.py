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
    parser.add_argument("--cache_dir", help="default: the user's cache folder")
    parser.add_argument("--sample_rate", type=int, default=CorpusOptions.sample_rate)
    parser.add_argument("--n_tr", type=int, default=CorpusOptions.n_tr)
    parser.add_argument("--n_cv", type=int, default=CorpusOptions.n_cv)
    parser.add_argument("--n_tt", type=int, default=CorpusOptions.n_tt)
    parser.add_argument("--seed", type=int, default=CorpusOptions.seed)
    parser.add_argument("--noise_kinds", help="some of recordings,babble,shaped")
    args = parser.parse_args()
    own = bool(args.speech_dir)
    if own != bool(args.noise_dir):
        raise LatrefError("--speech_dir and --noise_dir belong together: give both or none")
    kinds = args.noise_kinds or ("recordings" if own else "recordings,babble,shaped")
    if own:
        speech, noise = args.speech_dir, args.noise_dir
    else:
        speech, noise = fetch_recordings(args.cache_dir or None)
    options = CorpusOptions(
        sample_rate=args.sample_rate,
        n_tr=args.n_tr,
        n_cv=args.n_cv,
        n_tt=args.n_tt,
        seed=args.seed,
        noise_kinds=tuple(kinds.split(",")),
    )
    name = "OwnCorpus" if own else "OpenCorpus"
    print(f"mixtures: {build_corpus(args.out_dir, speech, noise, options, name)}")


command(main)
