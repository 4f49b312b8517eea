"""Converts the sphere files of WSJ0 (.wv1, .sph) to wav."""

import argparse

from _command import command

from asteroid_latref.data.sphere import convert_wsj0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wsj0_dir", required=True, help="WSJ0 as delivered")
    parser.add_argument("--out_dir", required=True, help="wsj0/... is written in it")
    args = parser.parse_args()
    print(f"WSJ0: {convert_wsj0(args.wsj0_dir, args.out_dir)} wav files in {args.out_dir}")


command(main)
