"""Fetches the voices and the music of the open corpus; prints the folders they are in."""

import argparse

from _command import command

from asteroid_latref.data.debian import fetch_recordings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache_dir", help="default: the user's cache folder")
    args = parser.parse_args()
    for folder in fetch_recordings(args.cache_dir or None):
        print(folder)


command(main)
