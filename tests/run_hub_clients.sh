#!/usr/bin/env bash
# Runs tests/test_hub.py and tests/test_card.py with other versions of the hub's client than the one installed:
#   tests/run_hub_clients.sh [VERSION...]      (default: the last of 0.x, the last of 1.x, and the newest)
# Each goes to a folder of its own that precedes the environment's packages; nothing is replaced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
clients=$(mktemp -d)
trap 'rm -rf "$clients"' EXIT
[ $# -gt 0 ] || set -- '==0.36.*' '==1.*' '>=2'
for version in "$@"; do
  [[ $version == [0-9]* ]] && version="==$version"
  folder=$clients/${version//[^0-9a-z]/_}
  "$python" -m pip install --quiet --disable-pip-version-check --target "$folder" \
    "huggingface_hub$version"
  PYTHONPATH=$folder "$python" -c 'import huggingface_hub as h; print("huggingface_hub", h.__version__)'
  PYTHONPATH=$folder "$python" -m pytest -q -p no:cacheprovider -o addopts= tests/test_hub.py tests/test_card.py
done
