#!/usr/bin/env bash
# Makes the peers' environments: make_venvs.sh FOLDER. They take 3 GB and some minutes.
# The versions are those that the figures of docs/train.md were measured with.
set -euo pipefail
folder=${1:?usage: make_venvs.sh FOLDER}
install="bin/pip install --quiet --disable-pip-version-check"
mkdir -p "$folder"

fresh() {
  rm -rf "$folder/$1"
  "${PYTHON:-python3}" -m venv "$folder/$1"
  cd "$folder/$1"
  $install torch==2.13.0
}

if ! test -f "$folder/trl/whole"; then (
  fresh trl
  $install trl==1.16.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 datasets==5.2.0
  touch whole
) fi

# Unsloth's own list asks for torchvision and xformers, which have no CPU build everywhere.
if ! test -f "$folder/unsloth/whole"; then (
  fresh unsloth
  $install trl==1.15.0 transformers==5.17.0 peft==0.21.2 accelerate==1.15.0 datasets==4.8.5 \
    psutil tyro einops cut_cross_entropy==25.1.1 msgspec torchao==0.18.0 sentencepiece protobuf hf_transfer
  $install --no-deps unsloth==2026.10.9 unsloth_zoo==2026.10.9 bitsandbytes==0.50.2
  touch whole
) fi
