#!/usr/bin/env bash
# A browser looks at the page of `listen --inspect`: everything it promises, measured where it promises a figure.
#
#   tests/acceptance/inspector/run.sh target/debug/telecmi-cdr [--picture FILE]
#
# Fetches what drives the browser into a temporary folder, and the browser as a package if that can be done without a
# question; what is missing then is said, and skipped.

set -u

program=$(readlink -f "${1:?usage: tests/acceptance/inspector/run.sh PROGRAM [--picture FILE]}")
shift
here=$(dirname "$(readlink -f "$0")")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

skip() { echo "skipped: $1"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }

if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update && apt-get install -y --no-install-recommends chromium; } >"$folder/log" 2>&1
fi
CHROMIUM=$(command -v chromium) || skip "there is no chromium"
export CHROMIUM
{ command -v node && command -v npm; } >/dev/null || skip "there is no node with npm"
cp "$here"/package.json "$here"/package-lock.json "$folder"
(cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts) >"$folder/log" 2>&1 || skip "playwright-core and axe-core cannot be had"
INSPECTOR_MODULES="$folder" node "$here/run.mjs" "$program" "$@"
