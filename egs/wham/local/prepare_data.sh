#!/usr/bin/env bash
# Stages 0 to 2 of the recipe: recordings -> mixtures -> JSON manifests. Run from egs/wham (run.sh does).
#
#   local/prepare_data.sh [--stage 0] [--stop_stage 2] [options]
#
# What is mixed, the first of these that is given:
#   --wham_wav_dir DIR    WHAM! as its own scripts wrote it (the folder that holds wav8k/ and wav16k/)
#   --wsj0_dir DIR --wham_noise_dir DIR [--wham_scripts_dir DIR] [--wham_out_dir data/wham_wav]
#                         WSJ0 (sphere or wav) and the WHAM! noise recordings: mixed by WHAM!'s own scripts
#   --speech_dir DIR --noise_dir DIR     any folder of speakers, any folder of noise: mixed here, WHAM!-like
#   (nothing)             the open corpus: recordings from Debian packages, mixed here, WHAM!-like
#
# Stages
#   0  WSJ0 sphere files -> wav            (only with --wsj0_dir)
#   1  mixtures                            (not with --wham_wav_dir)
#   2  manifests in json_dir; when there are no mixtures yet it says so and makes those of the open corpus first
#
# Options
#   --sample_rate 8000    8000 or 16000
#   --mode min            min or max (max: WHAM! only)
#   --json_dir DIR        where the manifests go, default data/wav8k/min (from --sample_rate and --mode):
#                         json_dir/{tr,cv,tt}/{mix_clean,mix_both,mix_single,s1,s2,noise}.json, json_dir/{tr,cv,tt}/corpus.json
#   --corpus_dir DIR      where stage 1 writes its mixtures, default data/open_corpus
#   --cache_dir DIR       where the packages are kept, default ${XDG_CACHE_HOME:-~/.cache}/asteroid_latref
#   --n_tr 400 --n_cv 100 --n_tt 150      mixtures per split (stage 1, open corpus and --speech_dir)
#   --seed 0              of the mixtures
#   --python python       interpreter
#
# Finished work is recognised and skipped, interrupted work continues; other options for the same corpus_dir are an error.
# Exit status: 0 done, 2 with one line `error: ...` otherwise.

set -euo pipefail

stage=0
stop_stage=2
wham_wav_dir=
wsj0_dir=
wham_noise_dir=
wham_scripts_dir=
wham_out_dir=data/wham_wav
speech_dir=
noise_dir=
sample_rate=8000
mode=min
json_dir=
corpus_dir=data/open_corpus
cache_dir=
n_tr=400
n_cv=100
n_tt=150
seed=0
python=python

. utils/parse_options.sh
