#!/usr/bin/env bash
# Builds good_go.go and runs it: a process started by `go run` outlives `go run`.
set -euo pipefail
folder=$(mktemp -d)
handler=
trap '[ -z "$handler" ] || kill "$handler"; rm -rf "$folder"' EXIT
trap exit TERM
GO111MODULE=off go build -o "$folder/good_go" good_go.go
"$folder/good_go" &
handler=$!
wait "$handler"
