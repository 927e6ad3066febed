#!/usr/bin/env bash
# Real tunnel programs, end to end and over loopback alone: OpenSSH's remote forward, and bore with a server of its own.
#
#   tests/acceptance/run tunnels [PROGRAM]
#
# For each: a listener opens the tunnel, a CDR is sent to the public URL it has told, both end well and nothing is left
# behind; and if the tunnel is killed, the listener says so and goes on.

set -u

program=$(readlink -f "${1:?usage: tests/acceptance/run tunnels PROGRAM}")
passed=0 failed=0 skipped=0
folder=$(mktemp -d)
servers=()

tidy() {
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null; done
  rm -rf "$folder"
}
trap tidy EXIT

pass() { passed=$((passed + 1)); echo "passed: $1"; }
fail() { failed=$((failed + 1)); echo "FAILED: $1"; sed 's/^/    /' "$folder"/talk "$folder"/log 2>/dev/null; }
skip() { skipped=$((skipped + 1)); echo "skipped: $1"; }

# A port of 127.0.0.1 on which nobody listens.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# Waits until a command succeeds, for ten seconds at most.
soon() {
  local n
  for n in $(seq 200); do "$@" 2>/dev/null && return; sleep 0.05; done
  return 1
}

# Whether somebody listens on a port.
open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether a process has gone, or is only waiting to be asked how it ended.
gone() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  [[ ${stat##*) } == Z* ]]
}

# The value of a field of text in a record.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$2"; }

# Puts a program first in PATH that writes its number down and becomes the real one with these arguments before its own.
stand_before() {
  local name=$1 real=$2
  shift 2
  printf '#!/bin/sh\ncase "$1" in -G) ;; *) echo $$ >%q ;; esac\nexec %q %s "$@"\n' \
    "$folder/number" "$real" "$*" >"$folder/bin/$name"
  chmod 755 "$folder/bin/$name"
}

# Starts a listener with a tunnel; its first record goes to $ready, its process to $listener.
listen() {
  rm -f "$folder"/{records,number,talk}
  mkfifo "$folder/records"
  PATH="$folder/bin:$PATH" "$program" listen --port 0 --format ndjson --timeout 60s "$@" \
    >"$folder/records" 2>"$folder/talk" &
  listener=$!
  exec 3<"$folder/records"
  IFS= read -r -t 60 ready <&3
  # The rest is read too, so that nothing waits for it.
  cat <&3 >"$folder/rest" &
  exec 3<&-
}

# A CDR through the tunnel.
delivers() {
  local name=$1 public
  listen --tunnel "$2" --count 1
  public=$(field public_url "$ready")
  if [[ -z $public ]]; then fail "$name tells a public URL"; wait "$listener"; return; fi
  "$program" send --url "$public/webhook/cdr" --quiet >"$folder/log" 2>&1
  local sent=$? received
  wait "$listener"
  received=$?
  if [[ $sent == 0 && $received == 0 ]]; then
    pass "$name: a CDR came through $public"
  else
    fail "$name: send exits $sent, listen $received"
  fi
  if gone "$(cat "$folder/number")"; then pass "$name: nothing is left behind"; else fail "$name is left behind"; fi
}

# The tunnel is killed while the listener runs.
breaks() {
  local name=$1 local_url
  listen --tunnel "$2" --count 1
  local_url=$(field url "$ready")
  kill -KILL "$(cat "$folder/number")"
  if soon grep -q '^warning: the tunnel ended by signal 9' "$folder/talk"; then
    pass "$name: its end is told"
  else
    fail "$name: its end is told"
  fi
  "$program" send --url "$local_url/webhook/cdr" --quiet >"$folder/log" 2>&1
  wait "$listener"
  local code=$?
  soon grep -q '"tunnel_ended":true' "$folder/rest"
  if [[ $code == 0 ]] && grep -q '"tunnel_ended":true' "$folder/rest"; then
    pass "$name: the listener goes on without it"
  else
    fail "$name: the listener goes on without it (exit $code)"
  fi
}

# An sshd for nobody but us: its own port, keys and configuration.
with_ssh() {
  local sshd ssh port user n
  ssh=$(command -v ssh) && [[ -x /usr/sbin/sshd ]] || { skip "ssh: there is no sshd"; return; }
  sshd=/usr/sbin/sshd
  # Where sshd locks itself up before anybody has logged in; only root has that.
  [[ $(id -u) != 0 ]] || mkdir -p /run/sshd
  user=$(id -un)
  ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
  ssh-keygen -q -t ed25519 -N '' -f "$folder/user_key"
  cp "$folder/user_key.pub" "$folder/authorized_keys"
  for n in 1 2 3; do
    port=$(free_port)
    cat >"$folder/sshd_config" <<EOF
ListenAddress 127.0.0.1:$port
HostKey $folder/host_key
AuthorizedKeysFile $folder/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
GatewayPorts no
EOF
    "$sshd" -D -e -f "$folder/sshd_config" 2>"$folder/log" &
    servers+=($!)
    soon open "$port" && break
  done
  echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$folder/host_key.pub")" >"$folder/known_hosts"
  cat >"$folder/ssh_config" <<EOF
Host receiver
  HostName 127.0.0.1
  Port $port
  User $user
  IdentityFile $folder/user_key
  IdentitiesOnly yes
  UserKnownHostsFile $folder/known_hosts
  StrictHostKeyChecking yes
EOF
  stand_before ssh "$ssh" -F "$folder/ssh_config"
  delivers ssh ssh:receiver
  delivers "ssh with a port of our choice" "ssh:receiver:$(free_port)"
  breaks ssh ssh:receiver
}

# bore's client, and a server of it on this machine. Its control port is fixed.
with_bore() {
  local bore
  if open 7835; then skip "bore: another program has its port 7835"; return; fi
  bore=$(command -v bore) || { skip "bore: it is not installed"; return; }
  "$bore" server --min-port 20000 --max-port 40000 >"$folder/log" 2>&1 &
  servers+=($!)
  soon open 7835 || { fail "bore: its server starts"; return; }
  stand_before bore "$bore"
  delivers bore bore:127.0.0.1
  breaks bore bore:127.0.0.1
}

mkdir "$folder/bin"
with_ssh
with_bore
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]
