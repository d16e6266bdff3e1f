#!/usr/bin/env bash
# Runs the flow scripts against known signatures, in every language that is here. One that is not is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/test"

# What openssl makes of the body the tests sign: a second opinion, from outside the scripts.
EXPECTED_HMAC="$(printf '{"increment_id":"000000042","note":"caf\xc3\xa9"}' |
  openssl dgst -sha256 -hmac 'a-secret-of-32-bytes-for-the-test' -r | cut -d' ' -f1)"
export EXPECTED_HMAC
export PYTHONDONTWRITEBYTECODE=1

failed=0
# run COMMAND FILE
run() {
  if ! command -v "$1" >/dev/null 2>&1; then
    echo "   $2: $1 is not installed, so this did not run"
    failed=1
  elif "$1" "$2"; then
    echo "   $2: good"
  else
    echo "   $2: FAILED"
    failed=1
  fi
}

run python3 scripts.py
run node scripts.js
run php hmac.php
run php standard-webhooks.php
run php response.php
exit "$failed"
