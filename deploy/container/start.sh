#!/usr/bin/env bash
# Makes a bootstrap and runs the proxy with it: what a container starts.
#
#   start.sh FLAG-OF-SHADOWCTL-BOOTSTRAP… [-- ENVOY-ARGUMENT…]
#   start.sh --fleet default --node-id edge-1 --xds control.example.test:18000 -- --concurrency 2
#
#   CROSSFADE_RUN      folder for the bootstrap, which must be writable; default: a new one in $TMPDIR, or /tmp
#   CROSSFADE_ECS_ZONE yes: ask ECS for the availability zone, and for a name where --node-id is not given
#
# and what run.sh knows: ENVOY, CROSSFADE_GRACE, CROSSFADE_DRAIN.
set -euo pipefail

flags=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  flags+=("$1")
  shift
done
[ $# -eq 0 ] || shift # the --

# metadata FIELD: prints a text of what ECS says of this task.
metadata() {
  local rest host port
  rest=${ECS_CONTAINER_METADATA_URI_V4#http://}
  host=${rest%%/*}
  port=80
  case $host in *:*) port=${host##*:} host=${host%:*} ;; esac
  {
    printf 'GET /%s/task HTTP/1.0\r\nHost: %s\r\n\r\n' "${rest#*/}" "$host" >&3
    tr ',{}' '\n\n\n' <&3 | sed -n "s/^ *\"$1\" *: *\"\(.*\)\" *\$/\1/p" | head -n 1
  } 3<>"/dev/tcp/$host/$port"
}

if [ "${CROSSFADE_ECS_ZONE:-}" = yes ]; then
  : "${ECS_CONTAINER_METADATA_URI_V4:?is not set: CROSSFADE_ECS_ZONE is for tasks of ECS}"
  zone=$(metadata AvailabilityZone)
  task=$(metadata TaskARN)
  [ -z "$zone" ] || flags+=(--zone "$zone")
  case " ${flags[*]} " in
    *' --node-id'[\ =]*) ;;
    *) flags+=(--node-id "${task##*/}") ;;
  esac
fi

work=${CROSSFADE_RUN:-$(mktemp -d)}
shadowctl bootstrap --out "$work" "${flags[@]}" >&2
here=$(dirname "$(readlink -f "$0")")
for run in "$here/run.sh" "$here/../envoy/run.sh"; do
  [ ! -x "$run" ] || exec "$run" "$work/bootstrap.yaml" "$@"
done
echo "start.sh: run.sh is missing beside $0" >&2
exit 1
