#!/usr/bin/env bash
# From recordings to a published model, on WHAM! or on open recordings.
#
#   ./run.sh [--stage 0] [--stop_stage 5] [options] [-- --key value ...]
#
# With no data given it uses the open corpus (real 8 kHz recordings, fetched once). What follows `--` replaces keys of the
# configuration: ./run.sh --tag fast -- --lr 2e-3 --n_iters 2
#
# Stages
#   0  WSJ0 sphere files -> wav            (only with --wsj0_dir)
#   1  mixtures                            (not with --wham_wav_dir)
#   2  JSON manifests; mixtures are prepared first when there are none
#   3  training                            -> exp/TAG/best_model.pth, history.csv; with --model progressive or bloom_*, a folder per step
#   4  evaluation of every exit            -> exp/TAG/final_metrics.json, all_metrics.csv, examples/, loss.png
#   5  publish directory                   -> exp/TAG/publish_dir/model.pth; with --hub_id its card, and the upload
#
# Experiment
#   --tag NAME            folder EXP_ROOT/NAME; default: the name of the configuration
#   --exp_root exp        where the folders of experiments are
#   --conf FILE           default local/conf/iter.yml, the paper's setup; local/conf/demo.yml is small
#   --task TASK           enh_single, enh_both, sep_clean or sep_noisy; default: the configuration's
#   --model NAME          a configuration of local/conf (iter, progressive, bloom_convtasnet, bloom_dprnn, bloom_sepformer, gated), or a model class; default: the configuration's
#   --resume true         continue an interrupted training
#   --finetune_epochs N   after block-by-block training (progressive, bloom_*): train all exits together
#   --seed N              of the training; default: the configuration's
#   --id 0,1              GPUs to show to the training (CUDA_VISIBLE_DEVICES)
#   --devices, --num_nodes, --strategy, --precision, --accelerator      passed to Lightning
#   --metrics si_sdr      of si_sdr,sdr,sir,sar,stoi,pesq, or all
#   --n_examples 3        test mixtures whose sounds and spectrograms are kept
#   --hub_id USER/NAME    upload to the Hugging Face hub (stage 5); without a token (hf auth login) as --dry_run true
#   --dry_run true        only write what would be uploaded, to exp/TAG/hub
#   --python FILE         interpreter; default: .venv of this repository, else python3
#
# Data (see local/prepare_data.sh)
#   --wham_wav_dir DIR | --wsj0_dir DIR --wham_noise_dir DIR [--wham_scripts_dir, --wham_out_dir] | --speech_dir DIR --noise_dir DIR
#   --sample_rate 8000, --mode min, --json_dir, --corpus_dir, --cache_dir, --n_tr, --n_cv, --n_tt, --corpus_seed 0,
#   --with_debian, --noise_kinds, --pool_hours, --corpus_name

set -euo pipefail

stage=0
stop_stage=5
tag=
exp_root=exp
conf=local/conf/iter.yml
task=
model=
resume=false
finetune_epochs=
seed=
id=
devices=
num_nodes=
strategy=
precision=
accelerator=
metrics=si_sdr
n_examples=3
hub_id=
dry_run=false
python=

wham_wav_dir=
wsj0_dir=
wham_noise_dir=
wham_scripts_dir=
wham_out_dir=
speech_dir=
noise_dir=
sample_rate=8000
mode=min
json_dir=
corpus_dir=
cache_dir=
n_tr=
n_cv=
n_tt=
corpus_seed=
with_debian=
noise_kinds=
pool_hours=
corpus_name=

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/utils/parse_options.sh"
cd "$here"

fail() {
  echo "error: $1" >&2
  exit 2
}

# given NAME [OPTION]: the option if the variable NAME has a value, else nothing, in the array `given`.
given=()
add_given() {
  local name
  for name in "$@"; do
    if [ -n "${!name}" ]; then given+=("--$name" "${!name}"); fi
  done
}

runs() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]; }

if [ -n "$model" ] && [ -f "local/conf/$model.yml" ]; then
  conf=local/conf/$model.yml
  model=
fi
for number in "$stage" "$stop_stage"; do
  [[ "$number" =~ ^[0-5]$ ]] || fail "--stage and --stop_stage take 0 to 5, not '$number'"
done
[ -f "$conf" ] || fail "--conf $conf: no such file; shipped are $(echo local/conf/*.yml)"
if [ -z "$python" ]; then
  python=python3
  if [ -x ../../.venv/bin/python ]; then python=$(cd ../.. && pwd)/.venv/bin/python; fi
fi
command -v "$python" > /dev/null || fail "--python $python: no such interpreter"
[ -n "$tag" ] || tag=$(basename "$conf" .yml)
[ -n "$json_dir" ] || json_dir=data/wav$((sample_rate / 1000))k/$mode
exp_dir=$exp_root/$tag
if [ -n "$id" ]; then export CUDA_VISIBLE_DEVICES=$id; fi
# A thread that waits keeps its core busy, by default so long that a shared CPU is ten times slower. Waiting that short
# costs 1.1 times the step of an idle CPU; not waiting at all (OMP_WAIT_POLICY=PASSIVE) costs 1.7 times.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}

prepare() { # prepare FIRST LAST: stages of local/prepare_data.sh
  given=()
  add_given wham_wav_dir wsj0_dir wham_noise_dir wham_scripts_dir wham_out_dir speech_dir noise_dir
  add_given corpus_dir cache_dir n_tr n_cv n_tt sample_rate mode json_dir python
  add_given with_debian noise_kinds pool_hours corpus_name
  if [ -n "$corpus_seed" ]; then given+=(--seed "$corpus_seed"); fi
  local/prepare_data.sh --stage "$1" --stop_stage "$2" "${given[@]}"
}

if [ "$stage" -le 2 ]; then
  prepare "$stage" $((stop_stage < 2 ? stop_stage : 2))
fi

if runs 3; then
  if [ ! -d "$json_dir/tr" ]; then
    echo "Stage 3 needs manifests and there are none in $json_dir: running stage 2 first"
    prepare 2 2
  fi
  echo "Stage 3: training $exp_dir with $conf"
  given=()
  add_given task model finetune_epochs seed devices num_nodes strategy precision accelerator sample_rate
  "$python" train.py --conf "$conf" --exp_dir "$exp_dir" --resume "$resume" \
    --train_dir "$json_dir/tr" --valid_dir "$json_dir/cv" "${given[@]}" "$@"
fi

if runs 4; then
  echo "Stage 4: evaluating $exp_dir on $json_dir/tt"
  [ -d "$json_dir/tt" ] || fail "$json_dir/tt: no manifests of a test set; run stage 2"
  "$python" eval.py --exp_dir "$exp_dir" --test_dir "$json_dir/tt" --metrics "$metrics" \
    --n_examples "$n_examples"
  if [ -d "$exp_dir/step1" ]; then # trained block by block
    "$python" local/depth.py --exp_dir "$exp_dir" --test_dir "$json_dir/tt"
  fi
  if [ -d "$exp_dir/joint" ]; then # a gated model and its baselines
    "$python" local/gating.py --exp_dir "$exp_dir" --test_dir "$json_dir/tt"
  fi
fi

if runs 5; then
  echo "Stage 5: publish directory of $exp_dir"
  "$python" local/publish.py --exp_dir "$exp_dir"
  if [ -n "$hub_id" ]; then
    given=()
    if [ "$dry_run" = true ]; then given=(--dry-run); fi
    "$python" -m asteroid_latref.cli upload "$exp_dir/publish_dir" "$hub_id" --folder "$exp_dir/hub" "${given[@]}"
  fi
fi
