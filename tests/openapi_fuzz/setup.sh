#!/usr/bin/env bash
# Makes a folder with the program that tries the API against openapi.yaml. What is there and was made from the same files is
# left alone.
#
#   tests/openapi_fuzz/setup.sh FOLDER
#
# Needs python3 with venv.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="${1:?usage: tests/openapi_fuzz/setup.sh FOLDER}"
mkdir -p "$folder"

made_from="$(sha256sum < "$here/requirements.txt" | cut -d' ' -f1)"
if [[ -f $folder/made_from && $(cat "$folder/made_from") == "$made_from" ]]; then
  echo "   schemathesis is there"
  exit 0
fi
rm -rf "$folder/venv" "$folder/made_from"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
echo "$made_from" > "$folder/made_from"
