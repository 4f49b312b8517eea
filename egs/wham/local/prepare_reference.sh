#!/usr/bin/env bash
# The corpus the bundled models were trained on: LibriSpeech and ambient recordings, with Debian's voices and music.
#
#   local/prepare_reference.sh --speech_dir DIR --noise_dir DIR
#   local/prepare_reference.sh --librispeech_dir LibriSpeech/train-clean-100 --noise_dir DIR
#
# Options
#   --speech_dir DIR        one subfolder per speaker, 8 kHz
#   --librispeech_dir DIR   instead: the utterances listed in local/reference/speech.sha256 are taken from there
#   --noise_dir DIR         ambient recordings, those of local/reference/noise.sha256
#   --out_dir data/reference    corpus in out_dir/corpus, manifests in out_dir/json
#   --n_tt 300              test mixtures
#   --python python         interpreter
#
# Other recordings work too and give another corpus; it is said which files differ from the listed ones.

set -euo pipefail

speech_dir=
librispeech_dir=
noise_dir=
out_dir=data/reference
n_tt=300
python=python

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. utils/parse_options.sh

fail() {
  echo "error: $1" >&2
  exit 2
}

link() { # link FROM TO: the files of a folder, and the credits of the reference beside them
  mkdir -p "$2"
  cp -r --symbolic-link --no-clobber "$(realpath "$1")/." "$2/"
}

[ -d "$noise_dir" ] || fail "--noise_dir '$noise_dir': no such folder"
if [ -n "$librispeech_dir" ]; then
  [ -d "$librispeech_dir" ] || fail "--librispeech_dir '$librispeech_dir': no such folder"
  while read -r _ path; do
    name=$(basename "$path")
    IFS=- read -r speaker chapter _ <<< "$name"
    file=$librispeech_dir/$speaker/$chapter/$name
    [ -f "$file" ] || fail "$file: not there; --librispeech_dir takes the folder train-clean-100"
    mkdir -p "$out_dir/speech/$speaker"
    ln -sf "$(realpath "$file")" "$out_dir/speech/$path"
  done < local/reference/speech.sha256
else
  [ -d "$speech_dir" ] || fail "--speech_dir '$speech_dir': no such folder"
  link "$speech_dir" "$out_dir/speech"
fi
link "$noise_dir" "$out_dir/noise"
for kind in speech noise; do
  if [ ! -e "$out_dir/$kind/licenses.json" ]; then
    cp "local/reference/${kind}_licenses.json" "$out_dir/$kind/licenses.json"
  fi
  (cd "$out_dir/$kind" && sha256sum --check --quiet --ignore-missing "$OLDPWD/local/reference/$kind.sha256") \
    || echo "$out_dir/$kind: not the recordings of the reference; figures will differ"
done
local/prepare_data.sh --stage 1 --speech_dir "$out_dir/speech" --noise_dir "$out_dir/noise" --with_debian true \
  --noise_kinds recordings,recordings,recordings,recordings,babble,shaped --pool_hours 10 \
  --n_tr 100 --n_cv 150 --n_tt "$n_tt" --corpus_name ReferenceCorpus \
  --corpus_dir "$out_dir/corpus" --json_dir "$out_dir/json" --python "$python"
