#!/usr/bin/env bash
# Checks what the documents promise about the repository: every relative link leads to a file, every exception code has
# its place in the index, every decision is listed, alerts use known metrics, and the JSON files parse.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

problems=0
problem() {
  problems=$((problems + 1))
  printf '   %s\n' "$*"
}

# Relative links of Markdown files, without fences (their brackets are code) and anchors.
links() { awk '/^ *```/ { fenced = !fenced; next } !fenced' "$1" | { grep -oE '\]\([^)# ]+' || true; } | sed 's/^](//'; }

while IFS= read -r document; do
  while IFS= read -r target; do
    case "$target" in http://* | https://* | mailto:*) continue ;; esac
    if [[ ! -e "$(dirname "$document")/$target" ]]; then problem "$document links to $target, which is not there"; fi
  done < <(links "$document")
done < <(find README.md CHANGELOG.md docs deploy -name '*.md' | sort)

for page in src/domain/exception_codes/*.md; do
  [[ -e $page ]] || continue
  code="$(basename "$page" .md)"
  if ! grep -q "$page" docs/operations/exceptions.md; then problem "docs/operations/exceptions.md does not list $code"; fi
done

for page in docs/decisions/[0-9]*.md; do
  if ! grep -q "($(basename "$page"))" docs/decisions/README.md; then problem "docs/decisions/README.md does not list $page"; fi
done

# Alert rules may only use metrics that the page explains.
while IFS= read -r name; do
  base="${name%_bucket}"
  if ! grep -q "^| \`$base\` |" docs/operations/metrics.md; then problem "deploy/alerts.yml uses $name, which docs/operations/metrics.md does not explain"; fi
done < <(grep -oE '[a-z_]+\{job="crossdock"' deploy/alerts.yml | cut -d'{' -f1 | grep -vx up | sort -u)

if command -v python3 >/dev/null 2>&1; then
  for file in docs/patchworks/*.json; do
    python3 -m json.tool "$file" >/dev/null || problem "$file is not JSON"
  done
fi

if ((problems > 0)); then
  echo "   $problems problem(s)"
  exit 1
fi
echo '   links, exception index and decisions agree with the files'
