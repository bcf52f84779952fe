#!/usr/bin/env bash
# Runs an Envoy and lets it go gently: on SIGTERM or SIGINT it first turns /ready red, so that load balancers stop sending, then drains,
# and exits when the last client is gone, or only idle connections have been left for three seconds, or time is up.
#
#   run.sh BOOTSTRAP [ENVOY-ARGUMENT…]
#
#   ENVOY            the binary; default: envoy on PATH
#   CROSSFADE_GRACE  seconds from red to draining: what load balancers need to notice; default 15
#   CROSSFADE_DRAIN  seconds that clients get to finish after that; default 60
#
# The stop timeout of the container (ECS stopTimeout, Kubernetes terminationGracePeriodSeconds) has to be longer than both together.
set -euo pipefail

if [ $# -lt 1 ]; then
  echo "usage: $0 BOOTSTRAP [ENVOY-ARGUMENT…]" >&2
  exit 2
fi
bootstrap=$1
shift
grace=${CROSSFADE_GRACE:-15}
drain=${CROSSFADE_DRAIN:-60}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "run.sh: $*" >&2; }

# admin METHOD PATH: asks Envoy's admin interface and prints the answer; fails if nobody answers.
admin() {
  local address host port
  address=$(cat "$work/admin" 2>/dev/null) || return 1
  port=${address##*:}
  host=${address%:*}
  host=${host#[}
  host=${host%]}
  {
    printf '%s %s HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
    cat <&3
  } 3<>"/dev/tcp/$host/$port"
}

# gauge NAME: prints a number of the listeners' statistics; 0 if Envoy does not say.
gauge() {
  local n
  n=$(admin GET "/stats?filter=^http\\.ingress\\.$1\$" 2>/dev/null | tr -d '\r' | sed -n "s/^http\\.ingress\\.$1: //p") || true
  echo "${n:-0}"
}

stop() {
  trap '' TERM INT
  if ! admin POST /healthcheck/fail >/dev/null 2>&1; then
    say "the admin interface does not answer; stopping Envoy at once"
    kill -TERM "$envoy" 2>/dev/null || true
    return
  fi
  say "not ready any more; draining in ${grace}s"
  sleep "$grace"
  admin POST '/drain_listeners?graceful&skip_exit&inboundonly' >/dev/null 2>&1 || true
  local end=$((SECONDS + drain)) busy=$SECONDS
  while [ "$(gauge downstream_cx_active)" -gt 0 ] && [ "$SECONDS" -lt "$end" ] && [ $((SECONDS - busy)) -lt 3 ] && kill -0 "$envoy" 2>/dev/null; do
    [ "$(gauge downstream_rq_active)" -eq 0 ] || busy=$SECONDS
    sleep 0.2
  done
  say "drained; $(gauge downstream_rq_active) requests and $(gauge downstream_cx_active) connections left"
  admin POST /quitquitquit >/dev/null 2>&1 || kill -TERM "$envoy" 2>/dev/null || true
}

stopping=
trap 'stopping=yes' TERM INT

"${ENVOY:-envoy}" -c "$bootstrap" --admin-address-path "$work/admin" --disable-hot-restart \
  --drain-time-s "$drain" --drain-strategy immediate --file-flush-interval-msec 1000 "$@" &
envoy=$!

status=0
wait "$envoy" || status=$?
if [ -n "$stopping" ]; then
  stop
  status=0
  wait "$envoy" || status=$?
fi
exit "$status"
