#!/bin/sh
# The least that a job needs: one command, whose exit code is the verdict. ci/canary.sh of deploy/ci is this with settings and a summary.
#   canary.sh KEY    KEY names this attempt of the job: with the same one, the same rollout is waited for
set -eu
exec shadowctl rollout run orders-canary --service orders --to eks --preset 10 --bake "${BAKE:-5m}" \
	--guard 'errorRate<=0.5%' --guard 'p99<=10s' --idempotency-key "$1"
