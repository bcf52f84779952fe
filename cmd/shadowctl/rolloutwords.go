package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

const kindRollout = "rollout" // on the command line

// States of a step.
const (
	stepDone = "done"
	stepNow  = "now"
)

// Metrics of guards that are none of the proxies'.
const (
	metricMirror = "mirror"
	metricQuery  = "prometheus"
)

// phaseOf is the state of a rollout.
func phaseOf(st *crossfadev1.RolloutStatus) rollout.Phase { return rollout.Phase(st.GetState()) }

// endVerdict is the verdict of a rollout that is over; of another, empty.
func endVerdict(p rollout.Phase) string {
	switch p {
	case rollout.Completed:
		return verdictPass
	case rollout.RolledBack:
		return verdictFail
	case rollout.Aborted:
		return verdictInconclusive
	}
	return ""
}

// verdictNow is the verdict of the end, of a rollout that is over: its guards may say otherwise since.
func verdictNow(st *crossfadev1.RolloutStatus) string {
	return dashOr(endVerdict(phaseOf(st)), st.GetVerdict())
}

func phaseColor(p rollout.Phase) color {
	switch p {
	case rollout.Completed, rollout.Baking, rollout.Progressing:
		return green
	case rollout.Frozen, rollout.RollingBack, rollout.RolledBack:
		return red
	case rollout.Pending:
		return faint
	default:
		return yellow
	}
}

// position is "1 of 3", "-" before there is a step.
func position(st *crossfadev1.RolloutStatus) string {
	if st.GetStep() == 0 || len(st.GetSteps()) == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", st.GetStep(), len(st.GetSteps()))
}

func weightWords(basisPoints int32) string {
	return policy.FormatWeight(policy.BasisPoints(basisPoints))
}

func durationWords(d time.Duration) string {
	return manifest.FormatDuration(durationpb.New(d.Round(time.Second)))
}

// stepCells are the steps and their gates, each with how far it is: "10% ✓", "gate approver", "[50%]", "100%".
func stepCells(st *crossfadev1.RolloutStatus) []cell {
	var out []cell
	for _, s := range st.GetSteps() {
		state := s.GetState()
		if phaseOf(st) == rollout.Completed {
			state = stepDone
		}
		if s.GetGate() != "" {
			gate := gateState(s, phaseOf(st))
			out = append(out, mark("gate "+s.GetGate(), gate, phaseOf(st)))
			if state == stepNow && gate == stepNow {
				state = "" // what is now is its gate
			}
		}
		out = append(out, mark(weightWords(s.GetWeight()), state, phaseOf(st)))
	}
	return out
}

// gateState is how far the gate before a step is.
func gateState(s *crossfadev1.RolloutStepStatus, p rollout.Phase) string {
	switch {
	case s.GetState() == stepNow && s.GetApprovedBy() == "" && p != rollout.Progressing && p != rollout.Baking && p != rollout.Completed:
		return stepNow
	case s.GetState() == stepNow || s.GetState() == stepDone:
		return stepDone
	default:
		return ""
	}
}

// mark shows how far something is, without colours too.
func mark(text, state string, p rollout.Phase) cell {
	switch {
	case state == stepDone:
		return cell{text + " ✓", green}
	case state == stepNow && (p == rollout.RollingBack || p == rollout.RolledBack || p == rollout.Aborted):
		return cell{text + " ✗", phaseColor(p)}
	case state == stepNow:
		return cell{"[" + text + "]", phaseColor(p)}
	default:
		return cell{text, faint}
	}
}

// bakeWords is how far the bake of the present step is; empty where none is under way.
func bakeWords(st *crossfadev1.RolloutStatus) string {
	for _, s := range st.GetSteps() {
		if s.GetState() != stepNow || phaseOf(st).Over() || phaseOf(st) == rollout.RollingBack {
			continue
		}
		bake, baked := s.GetBake().AsDuration(), s.GetBaked().AsDuration()
		if bake <= 0 || phaseOf(st) != rollout.Baking && baked <= 0 {
			return ""
		}
		words := fmt.Sprintf("%s of %s with a pass (%d%%)", durationWords(baked), durationWords(bake), min(100, int(100*baked/bake)))
		if s.GetMinRequests() > 0 {
			words += fmt.Sprintf("; %s of %s", whole(s.GetRequests()), requestsWords(whole(s.GetMinRequests())))
		}
		return words
	}
	return ""
}

// whatToDo is the command that a rollout waits for, empty where it goes on by itself.
func whatToDo(st *crossfadev1.RolloutStatus) string {
	name := st.GetName()
	switch phaseOf(st) {
	case rollout.AwaitingGate:
		return "to let it go on: shadowctl rollout approve " + name + "; if not: shadowctl rollout reject " + name
	case rollout.Paused:
		return "to let it go on: shadowctl rollout resume " + name + "; to end it at 0%: shadowctl rollout abort " + name
	case rollout.Frozen:
		if primaryIll(st) {
			return "resume and abort are refused until the primary is well; to send everything there all the same: shadowctl rollback " + st.GetService()
		}
		return "when it is well again: shadowctl rollout resume " + name + "; to end it: shadowctl rollout abort " + name
	}
	return ""
}

// primaryIll says that the side to which an abort would send everything fails now.
func primaryIll(st *crossfadev1.RolloutStatus) bool {
	if st.GetTo() == st.GetPrimary() {
		return false
	}
	return strings.Contains(st.GetWaitingFor(), "(the primary is unhealthy") || slices.ContainsFunc(st.GetPrimaryGuards(), func(g *crossfadev1.GuardStatus) bool { return g.GetVerdict() == verdictFail })
}

// guardValue writes a number of a guard as people read it; a limit as it was written.
func guardValue(g *crossfadev1.GuardStatus, v float64, exact bool) string {
	switch metric := guard.Metric(g.GetMetric()); {
	case metric == metricMirror:
		return "-"
	case g.GetAgainst() != "":
		return plainNumber(v, 3) + "x"
	case metric == guard.ErrorRate && exact:
		return plainNumber(100*v, 4) + "%"
	case metric == guard.ErrorRate:
		return share(v)
	case metric == guard.Requests:
		return whole(int64(v))
	case metric == metricQuery:
		return plainNumber(v, 5)
	case exact:
		return manifest.FormatDuration(durationpb.New(time.Duration(v * float64(time.Second)).Round(time.Millisecond)))
	default:
		return milliseconds(1000 * v)
	}
}

// valueCell is what a guard sees, "-" where it has seen nothing.
func valueCell(g *crossfadev1.GuardStatus) cell {
	decided := g.GetVerdict() == verdictPass || g.GetVerdict() == verdictFail
	unknown := g.GetAgainst() != "" && !decided
	if g.GetValue() == 0 && (g.GetSamples() == 0 || unknown) && (g.GetMetric() != metricQuery || !decided) && guard.Metric(g.GetMetric()) != guard.Requests {
		return cell{"-", faint}
	}
	return cell{text: guardValue(g, g.GetValue(), false)}
}

// limitWords is the limit of a guard with its sense. That of a query is not known here: it may be a least.
func limitWords(g *crossfadev1.GuardStatus) string {
	limit := guardValue(g, g.GetLimit(), true)
	switch {
	case g.GetMetric() == metricMirror:
		return "Pass"
	case g.GetMetric() == metricQuery:
		return limit
	case g.GetLimit() == 0 && g.GetSamples() == 0:
		return "-" // it has not looked yet
	case guard.Metric(g.GetMetric()) == guard.Requests:
		return "≥ " + limit
	case g.GetAgainst() != "":
		return "≤ " + limit + " " + g.GetAgainst()
	default:
		return "≤ " + limit
	}
}

// why is the message of a guard without its name in front.
func why(g *crossfadev1.GuardStatus) string {
	return strings.TrimPrefix(g.GetMessage(), g.GetName()+": ")
}

// plainNumber writes so many digits, without an exponent where that can be read.
func plainNumber(v float64, digits int) string {
	if v != 0 && (v >= 1e9 || v <= -1e9 || v < 1e-6 && v > -1e-6) {
		return strconv.FormatFloat(v, 'g', digits, 64)
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil { // not a number
		return "-"
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// limitSentence is a guard of a document in words.
func limitSentence(g *crossfadev1.RolloutGuard, to, from string) string {
	metric, window := guard.Metric(g.GetMetric()), ""
	if g.GetWindow() != nil {
		window = " (window " + durationWords(g.GetWindow().AsDuration()) + ")"
	}
	if g.GetFailures() > 1 {
		window += fmt.Sprintf(", %d looks in a row", g.GetFailures())
	}
	name := g.GetMetric()
	if metric == guard.ErrorRate {
		name = "error rate"
	}
	switch {
	case g.GetMirror() != "":
		return "the verdict of mirror " + g.GetMirror() + " is Pass"
	case g.GetPrometheus() != nil:
		return querySentence(g) + window + ": " + g.GetPrometheus().GetQuery()
	case metric == guard.Requests:
		return fmt.Sprintf("%s has at least %s in %s", to, requestsWords(g.GetMin()), durationWords(cmp.Or(g.GetWindow().AsDuration(), guard.DefaultWindow)))
	case g.GetMaxRatio() != 0:
		return fmt.Sprintf("%s of %s is at most %s times that of %s%s", name, to, plainNumber(g.GetMaxRatio(), 4), cmp.Or(g.GetAgainst(), from), window)
	default:
		return fmt.Sprintf("%s of %s is at most %s%s", name, to, g.GetMax(), window)
	}
}

func querySentence(g *crossfadev1.RolloutGuard) string {
	var limits []string
	if g.GetMin() != "" {
		limits = append(limits, "at least "+g.GetMin())
	}
	if g.GetMax() != "" {
		limits = append(limits, "at most "+g.GetMax())
	}
	return "Prometheus " + g.GetPrometheus().GetServer() + " answers " + strings.Join(limits, " and ")
}

// onFailureWords says what a failing guard leads to.
func onFailureWords(onFailure string, st *crossfadev1.RolloutStatus) string {
	back := cmp.Or(st.GetPrimary(), "the primary")
	switch rollout.OnFailure(onFailure) {
	case rollout.BackInStep:
		return "back to " + back + " over the weights of the steps"
	case rollout.Freeze:
		return "it freezes where it is, and somebody has to look"
	default:
		return "everything goes back to " + back + " at once"
	}
}
