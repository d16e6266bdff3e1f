#!/usr/bin/env bash
# Makes a Tryton with an empty company in a folder: a virtual environment, an SQLite database that tests copy, and the keys
# they need. What is there already and was made from the same files is left alone.
#
#   tests/erp/setup.sh FOLDER
#
# Needs python3 with venv. Takes about a minute the first time, nothing after that.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="${1:?usage: tests/erp/setup.sh FOLDER}"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"

made_from="$(cat "$here/requirements.txt" "$here/setup.py" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)"
if [[ -f $folder/made_from && $(cat "$folder/made_from") == "$made_from" ]]; then
  echo "   Tryton is there"
  exit 0
fi
rm -rf "$folder/db" "$folder/made_from" "$folder/keys.json"

if [[ ! -x $folder/venv/bin/trytond ]]; then
  python3 -m venv "$folder/venv"
fi
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"

# The file must exist before it is filled, and its folder must be named in full.
mkdir -p "$folder/db"
touch "$folder/db/erp.sqlite"
cat > "$folder/erp.conf" <<CONF
[database]
uri = sqlite://
path = $folder/db
default_name = erp
CONF
printf 'admin-secret' > "$folder/passfile"
export TRYTONPASSFILE="$folder/passfile"
cd "$folder"
venv/bin/trytond-admin -c erp.conf -d erp --all --email admin@example.com -l en
venv/bin/trytond-admin -c erp.conf -d erp -l en --activate-dependencies \
  -u sale stock product_kit sale_shipment_cost sale_supply account_invoice_stock web_shop stock_package_shipping
venv/bin/python "$here/setup.py" erp.conf erp > keys.json
echo "$made_from" > made_from
echo "   Tryton is ready: $folder"
