package main

import (
	"fmt"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// rolloutChange says what a revision of a rollout changed: its state, and where it is.
func rolloutChange(before, after *crossfadev1.Rollout) string {
	was, run := before.GetRun(), after.GetRun()
	where := fmt.Sprintf(", step %d, %s %s", run.GetStep(), after.GetTo(), weightWords(run.GetWeight()))
	switch {
	case run == nil:
		return "changed"
	case was.GetId() != run.GetId():
		return "started: " + run.GetState() + where
	case was.GetState() != run.GetState():
		return was.GetState() + " → " + run.GetState() + where
	default:
		return run.GetState() + where
	}
}

// causeWords says that a rollout moved a split. The cause is the ID of what it did: "r1@3f9a2c1b/step-2/set".
func causeWords(cause string) string {
	run, what, ok := strings.Cut(cause, "/")
	if !ok || !rollout.IsRun(run) {
		return ""
	}
	name, _, _ := strings.Cut(run, "@")
	words := ", by rollout " + name
	var step int
	if _, err := fmt.Sscanf(what, "step-%d/", &step); err == nil {
		return fmt.Sprintf("%s, step %d", words, step)
	}
	return words
}
