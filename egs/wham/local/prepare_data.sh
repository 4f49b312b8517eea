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
#   --n_tr 1200 --n_cv 100 --n_tt 150      mixtures per split (stage 1, open corpus and --speech_dir)
#   --seed 0              of the mixtures
#   --with_debian true    mix the open corpus's recordings too, besides --speech_dir and --noise_dir
#   --noise_kinds LIST    of recordings,babble,shaped; one that is named twice comes twice as often
#   --pool_hours 10       keep so much training speech for mixing anew in every epoch (data.n_mixtures)
#   --corpus_name NAME    what cards of models call it
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
n_tr=1200
n_cv=100
n_tt=150
seed=0
with_debian=false
noise_kinds=
pool_hours=0
corpus_name=
python=python

. utils/parse_options.sh

fail() {
  echo "error: $1" >&2
  exit 2
}

if [ $# -gt 0 ]; then fail "unexpected argument '$1' (--help lists the options)"; fi
for name in stage stop_stage n_tr n_cv n_tt seed; do
  [[ "${!name}" =~ ^-?[0-9]+$ ]] || fail "--$name takes a whole number, not '${!name}'"
done
case "$sample_rate" in
  8000 | 16000) ;;
  *) fail "--sample_rate takes 8000 or 16000, not '$sample_rate'" ;;
esac
case "$mode" in
  min | max) ;;
  *) fail "--mode takes min or max, not '$mode'" ;;
esac
layout=wav$((sample_rate / 1000))k/$mode
json_dir=${json_dir:-data/$layout}

if [ -n "$wham_wav_dir" ]; then
  source=published
  if [ ! -d "$wham_wav_dir/$layout" ]; then fail "$wham_wav_dir/$layout: no such folder (--wham_wav_dir)"; fi
elif [ -n "$wsj0_dir" ] || [ -n "$wham_noise_dir" ]; then
  if [ -z "$wsj0_dir" ] || [ -z "$wham_noise_dir" ]; then
    fail "--wsj0_dir and --wham_noise_dir belong together: give both or none"
  fi
  source=wsj0
  wham_wav_dir=$wham_out_dir
else
  source=open
  if [ -n "$speech_dir$noise_dir" ]; then
    if [ -z "$speech_dir" ] || [ -z "$noise_dir" ]; then
      fail "--speech_dir and --noise_dir belong together: give both or none"
    fi
  fi
  if [ "$mode" = max ]; then fail "--mode max: only WHAM! has it; give --wham_wav_dir"; fi
fi

mix() {
  if [ $source = wsj0 ]; then
    # A folder that holds wav files already is taken as it is.
    wsj0_wav_dir=$wsj0_dir
    if [ -d data/wsj0_wav ]; then wsj0_wav_dir=data/wsj0_wav; fi
    "$python" local/prepare_wham.py --wsj0_wav_dir "$wsj0_wav_dir" --wham_noise_dir "$wham_noise_dir" \
      --wham_scripts_dir "$wham_scripts_dir" --out_dir "$wham_out_dir"
  elif [ $source = open ]; then
    "$python" local/prepare_open_corpus.py --out_dir "$corpus_dir" --cache_dir "$cache_dir" \
      --speech_dir "$speech_dir" --noise_dir "$noise_dir" --sample_rate "$sample_rate" \
      --n_tr "$n_tr" --n_cv "$n_cv" --n_tt "$n_tt" --seed "$seed" --with_debian "$with_debian" \
      --noise_kinds "$noise_kinds" --pool_hours "$pool_hours" --corpus_name "$corpus_name"
  fi
}

if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ] && [ $source = wsj0 ]; then
  echo "Stage 0: sphere files of $wsj0_dir to wav"
  if [ -n "$(find -L "$wsj0_dir" -iname '*.wv1' -print -quit 2>/dev/null)$(find -L "$wsj0_dir" -iname '*.sph' -print -quit 2>/dev/null)" ]; then
    "$python" local/prepare_sphere.py --wsj0_dir "$wsj0_dir" --out_dir data/wsj0_wav
  elif [ -n "$(find -L "$wsj0_dir" -iname '*.wav' -print -quit 2>/dev/null)" ]; then
    echo "$wsj0_dir holds wav files already"
  else
    fail "$wsj0_dir: holds neither sphere nor wav files (--wsj0_dir)"
  fi
fi

if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ] && [ $source != published ]; then
  echo "Stage 1: mixtures"
  mix
fi

if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
  echo "Stage 2: manifests in $json_dir"
  if [ $source = open ]; then
    if [ ! -f "$corpus_dir/corpus.json" ]; then
      echo "There are no mixtures in $corpus_dir yet: preparing the open corpus first"
      mix
    fi
    "$python" local/prepare_manifests.py --wav_dir "$corpus_dir/$layout" --json_dir "$json_dir" \
      --sample_rate "$sample_rate" --corpus_dir "$corpus_dir"
  else
    "$python" local/prepare_manifests.py --wav_dir "$wham_wav_dir/$layout" --json_dir "$json_dir" \
      --sample_rate "$sample_rate"
  fi
fi
