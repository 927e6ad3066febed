#!/usr/bin/env bash
# The step of action.yml: installs telecmi-cdr unless it is on the PATH, runs the suite, and reports findings as annotations
# and as a summary of the job. Exits as the suite does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

install() {
  local target version archive releases
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) target=x86_64-unknown-linux-musl ;;
    Linux-aarch64) target=aarch64-unknown-linux-musl ;;
    Darwin-x86_64) target=x86_64-apple-darwin ;;
    Darwin-arm64) target=aarch64-apple-darwin ;;
    *) echo "::error::telecmi-cdr's action runs on Linux and macOS"; exit 2 ;;
  esac
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ACTION_PATH/Cargo.toml")
  archive=telecmi-cdr-$version-$target.tar.gz
  releases=$GITHUB_SERVER_URL/$ACTION_REPOSITORY/releases/download/v$version
  (
    cd "$folder"
    for file in "$archive" SHA256SUMS; do
      curl --fail --silent --show-error --location --retry 3 --output "$file" "$releases/$file" || {
        echo "::error::$releases/$file cannot be downloaded"
        exit 1
      }
    done
    grep -F "  $archive" SHA256SUMS | shasum --algorithm 256 --check --quiet
    tar xzf "$archive" --strip-components 1
  )
  PATH=$folder:$PATH
}

# Reads records; $1 is a jq function that writes one finding, with its first case.
findings() {
  jq --slurp --raw-output '
    def escaped: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
    def title: escaped | gsub(":"; "%3A") | gsub(","; "%2C");
    def cell: gsub("[\r\n]+"; " ") | @html | gsub("(?<c>[\\\\`*_|\\[\\]])"; "\\\(.c)");
    def annotation: "::error title=\(.cases | join(" ") | .[:200] | title)::" +
      ("wanted \(.first.expected), got \(.first.got)\n\(.first.advice // "")\n\(.first.repeat // "")" | escaped);
    def row: "| \(.cases | join(" ") | cell) | \(.first.expected | cell) | \(.first.got | cell) | \(.first.advice // "" | cell) |";
    (map(select(.type == "case")) | INDEX(.name)) as $cases |
    .[] | select(.type == "summary").findings[] | .first = $cases[.cases[0]] | '"$1" "$folder/records"
}

command -v telecmi-cdr >/dev/null || install
words=(--suite --junit "$JUNIT" --format ndjson --quiet --output "$folder/records")
[ -z "$URL" ] || words+=(--url "$URL")
read -r -a more <<<"$ARGS"
words+=(${more[@]+"${more[@]}"})
[ -z "$COMMAND" ] || words+=(-- bash -c "$COMMAND")
code=0
telecmi-cdr send "${words[@]}" 2>"$folder/messages" || code=$?
cat "$folder/messages" >&2
total=$(jq --raw-output 'select(.type == "summary") | "\(.failed) of \(.cases - .skipped) cases failed"' "$folder/records" || true)
if [ -z "$total" ]; then
  echo "::error::telecmi-cdr ended with $code: $(head -n 1 "$folder/messages")"
  exit "$code"
fi
findings annotation
echo "$total"
{
  printf '### telecmi-cdr: %s\n' "$total"
  [ "$code" = 0 ] || { printf '\n| cases | wanted | got | advice |\n|---|---|---|---|\n' && findings row; }
} >>"$GITHUB_STEP_SUMMARY"
exit "$code"
