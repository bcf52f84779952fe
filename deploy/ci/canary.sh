#!/bin/sh
# A guarded rollout as a job of any CI system: it moves traffic, watches it, and says by its exit code what came of it. Copy it to ci/canary.sh.
#
#   canary.sh           starts the rollout, or waits for the one that this job started before; exit 0 passed, 8 rolled back, 9 aborted
#   canary.sh summary   says in Markdown how it is; exit 0, whatever that is
#
# Settings are variables:
#   CROSSFADE_SERVER      HOST:PORT of the server
#   CANARY_NAME           name of the rollout; one for each service and stage
#   CANARY_SERVICE        service whose traffic moves
#   CANARY_TO             origin that it moves to
#   CANARY_STEPS          weights of that origin in percent: 10, or 50,100
#   CANARY_GUARDS         limits that must hold, one a line: errorRate<=0.5%
#   CANARY_BAKE           how long each step is watched (5m)
#   CANARY_MIN_REQUESTS   requests that each step needs (0)
#   CANARY_APPROVE        who approves before a step: 50%:approver (nobody)
#   CANARY_FILE           a file with the whole plan, in place of all from CANARY_SERVICE on
#   CANARY_LEASE          how long the rollout goes on if this job is gone (1m)
#   CANARY_KEY            what names this attempt of this job; known on GitHub and GitLab
#   CANARY_ATTEMPT        on GitLab: another number makes another rollout of the same pipeline (1)
set -euf

need() {
	eval "[ -n \"\${$1:-}\" ]" && return
	echo "canary.sh: $1 is not set: see the head of the script" >&2
	exit 2
}

# attempt names this attempt of this job: who comes again with the same name waits for the same rollout.
attempt() {
	if [ -n "${CANARY_KEY:-}" ]; then
		echo "$CANARY_KEY"
	elif [ -n "${GITHUB_RUN_ID:-}" ]; then
		echo "github $GITHUB_RUN_ID attempt ${GITHUB_RUN_ATTEMPT:-1}"
	elif [ -n "${CI_PIPELINE_ID:-}" ]; then
		echo "gitlab $CI_PIPELINE_ID attempt ${CANARY_ATTEMPT:-1}"
	fi
}

run() {
	key=$(attempt)
	if [ -z "$key" ]; then
		need CANARY_KEY
	fi
	if [ -n "${CANARY_FILE:-}" ]; then
		set -- -f "$CANARY_FILE"
	else
		need CANARY_SERVICE
		need CANARY_TO
		need CANARY_STEPS
		set -- "$CANARY_NAME" --service "$CANARY_SERVICE" --to "$CANARY_TO" --preset "$CANARY_STEPS" --bake "${CANARY_BAKE:-5m}" \
			--min-requests "${CANARY_MIN_REQUESTS:-0}" ${CANARY_APPROVE:+--approve-before "$CANARY_APPROVE"}
		IFS='
'
		for guard in ${CANARY_GUARDS:-}; do
			set -- "$@" --guard "$guard"
		done
	fi
	# In place of this shell: who cancels the job reaches shadowctl itself, which takes everything back before it ends.
	exec shadowctl rollout run "$@" --lease "${CANARY_LEASE:-1m}" --idempotency-key "$key $CANARY_NAME" --reason "$key"
}

summary() {
	echo "### Rollout $CANARY_NAME"
	echo
	echo '```text'
	shadowctl rollout explain "$CANARY_NAME" 2>&1 || true
	echo '```'
}

need CANARY_NAME
case ${1:-run} in
run) run ;;
summary) summary ;;
*)
	echo "canary.sh: $1: must be run or summary" >&2
	exit 2
	;;
esac
