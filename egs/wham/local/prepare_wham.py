"""Mixes WHAM! from WSJ0 and its noise recordings, with WHAM!'s own scripts."""

import argparse

from _command import command

from asteroid_latref.data.published import mix_wham


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wsj0_wav_dir", required=True, help="holds wsj0/si_tr_s and so on")
    parser.add_argument("--wham_noise_dir", required=True, help="holds tr, cv, tt and metadata")
    parser.add_argument("--wham_scripts_dir", help="wham_scripts unpacked; default: downloaded")
    parser.add_argument("--out_dir", required=True)
    args = parser.parse_args()
    mix_wham(args.wsj0_wav_dir, args.wham_noise_dir, args.out_dir, args.wham_scripts_dir or None)


command(main)
