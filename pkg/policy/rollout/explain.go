package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Explain says in words what a rollout waits for, and what it will do then: the answer to "why does nothing happen?".
func Explain(p *Plan, s State) string {
	if s.Step < 0 || s.Step >= len(p.Steps) {
		return ""
	}
	switch s.Phase {
	case Pending:
		return explainStart(p, s)
	case Progressing:
		return explainWay(p, s)
	case Baking:
		return explainBake(p, s)
	case AwaitingGate:
		return explainGate(p, s)
	case Paused:
		return fmt.Sprintf("is paused at %s: %s; it goes on as %s when somebody resumes it", policy.FormatWeight(s.Weight), s.Reason, s.Resume)
	case Frozen:
		return fmt.Sprintf("is frozen at %s: %s%s; somebody has to look, then resume or abort it", policy.FormatWeight(s.Weight), s.Reason, primary(s))
	case RollingBack:
		return explainBack(p, s)
	case Completed:
		return explainKept(p, s)
	}
	return "is over: " + s.Reason
}

func explainStart(p *Plan, s State) string {
	if s.Seen.Ready == "" && s.Seen.Verdict == Fail {
		return "waits to start until no guard fails: " + s.Seen.Why
	}
	return "waits until " + p.To + " is ready: " + or(s.Seen.Ready, "it is")
}

func explainWay(p *Plan, s State) string {
	to := stepName(p, s)
	switch {
	case !s.Begun && s.Seen.Verdict == Fail:
		return fmt.Sprintf("waits before %s until no guard fails: %s", to, s.Seen.Why)
	case !s.Begun:
		return fmt.Sprintf("waits for the hook before %s: %s", to, or(s.Seen.Hook, "it has not answered yet"))
	case s.Want != nil:
		return fmt.Sprintf("sets the split for %s", to)
	}
	return fmt.Sprintf("waits until the proxies have the split of %s: %s", to, or(s.Seen.Fleet, "they have"))
}

// explainBake lists what the step still needs.
func explainBake(p *Plan, s State) string {
	step := p.Steps[s.Step]
	var needs []string
	if left := step.Bake - s.Bake; left > 0 {
		needs = append(needs, fmt.Sprintf("%s more of %s with a pass", span(left.Round(100*time.Millisecond)), span(step.Bake)))
	}
	if left := step.MinRequests - s.Requests; left > 0 {
		needs = append(needs, fmt.Sprintf("%d more of %d requests", left, step.MinRequests))
	}
	if s.Seen.Verdict != Pass {
		needs = append(needs, fmt.Sprintf("a pass (now %s: %s)", or(string(s.Seen.Verdict), string(Inconclusive)), or(s.Seen.Why, "nothing was seen yet")))
	}
	if s.Seen.Fleet != "" {
		needs = append(needs, "all proxies at its weight ("+s.Seen.Fleet+")")
	}
	return fmt.Sprintf("bakes at %s, and needs %s; then %s", stepName(p, s), or(strings.Join(needs, ", "), "nothing more"), afterStep(p, s))
}

func afterStep(p *Plan, s State) string {
	if s.Step == len(p.Steps)-1 {
		return "it is done"
	}
	next := p.Steps[s.Step+1]
	if next.Gate != nil {
		return fmt.Sprintf("the gate before %s", policy.FormatWeight(next.Weight))
	}
	return policy.FormatWeight(next.Weight)
}

func explainGate(p *Plan, s State) string {
	gate := p.Steps[s.Step].Gate
	if gate == nil {
		return "waits for an approval"
	}
	but := ""
	if gate.NotStarter {
		but = " other than " + p.Starter
	}
	return fmt.Sprintf("stays at %s until somebody with role %s%s approves %s", policy.FormatWeight(s.Weight), gate.Role, but, stepName(p, s))
}

func explainBack(p *Plan, s State) string {
	switch {
	case s.Want != nil:
		return fmt.Sprintf("goes back to %s: %s", policy.FormatWeight(s.Want.Weight), s.Reason)
	case s.Weight == p.home():
		return fmt.Sprintf("%s has everything; waits for the proof of the proxies: %s", p.Primary, or(s.Seen.Fleet, "it is there"))
	}
	_, next := p.below(s.Step, s.Weight)
	return fmt.Sprintf("is at %s on the way back, goes to %s when the proxies have had it for %s, or %s after it went live: %s",
		policy.FormatWeight(s.Weight), policy.FormatWeight(next), span(p.backPause()), span(p.backPause()+backPatience), or(s.Seen.Fleet, "they have it"))
}

func explainKept(p *Plan, s State) string {
	if s.Free {
		return "is over: " + s.Reason
	}
	left := RetainedFor(p, s)
	return fmt.Sprintf("is complete; %s is kept for %s more, for a rollback%s", p.From, span(left.Round(time.Second)), primary(s))
}

func primary(s State) string {
	if s.Seen.Primary == "" {
		return ""
	}
	return " (the primary is unhealthy: " + s.Seen.Primary + ")"
}

// span is a duration without units of which there are none: "24h".
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// stepName is a step for people.
func stepName(p *Plan, s State) string {
	return fmt.Sprintf("step %d of %d (%s)", s.Step+1, len(p.Steps), policy.FormatWeight(p.Steps[s.Step].Weight))
}
