package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

const (
	kindMirror = "mirror" // on the command line
	modeDark   = "dark"
)

// States of an experiment.
const (
	mirrorLearning = "learning"
	mirrorRunning  = "running"
	mirrorEnded    = "ended"
)

// Verdicts, of which each has an exit code.
const (
	verdictPass         = "Pass"
	verdictFail         = "Fail"
	verdictInconclusive = "Inconclusive"
)

// States of a difference.
const (
	diffFinding = "finding"
	diffOpen    = "open"
	diffNoise   = "noise"
	diffBlind   = "blind"
)

// verdictExit ends a command with the exit code of a verdict. The report has said it already.
func verdictExit(verdict string) error {
	switch verdict {
	case verdictPass:
		return nil
	case verdictFail:
		return &failure{exit: exitVerdict}
	case verdictInconclusive:
		return &failure{exit: exitHeld}
	default:
		return &failure{exit: exitInternal}
	}
}

func verdictColor(verdict string) color {
	switch verdict {
	case verdictPass:
		return green
	case verdictInconclusive:
		return yellow
	default:
		return red
	}
}

func verdictCell(verdict string) cell { return cell{dash(verdict), verdictColor(verdict)} }

func mirrorState(state string) cell {
	switch state {
	case mirrorRunning:
		return cell{state, green}
	case mirrorLearning:
		return cell{state, yellow}
	default:
		return cell{dash(state), faint}
	}
}

func diffState(state string) cell {
	return cell{state, map[string]color{diffFinding: red, diffOpen: yellow, diffNoise: faint, diffBlind: yellow}[state]}
}

// endsWords is "in 23m", or "12m ago: stopped".
func (a *app) endsWords(state string, ends *timestamppb.Timestamp, why string) string {
	switch {
	case ends == nil:
		return "-"
	case state == mirrorEnded:
		return a.ago(ends) + because(strings.ReplaceAll(why, "_", " "))
	case ends.AsTime().Before(a.now()):
		return "now"
	default:
		return "in " + short(ends.AsTime().Sub(a.now()))
	}
}

// forPeople takes control characters from every text of a report that people read: some of them come from traffic. In JSON and YAML they are
// escaped.
func (a *app) forPeople(r *crossfadev1.MirrorReport) *crossfadev1.MirrorReport {
	if a.output != "json" && a.output != "yaml" {
		printable(r.ProtoReflect())
	}
	return r
}

// printable makes every text of a message one line.
func printable(m protoreflect.Message) {
	value := func(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
		switch {
		case f.Message() != nil:
			printable(v.Message())
		case f.Kind() == protoreflect.StringKind:
			return protoreflect.ValueOfString(oneLine(v.String()))
		}
		return v
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			clean := m.NewField(f)
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				clean.Map().Set(value(f.MapKey(), k.Value()).MapKey(), value(f.MapValue(), v))
				return true
			})
			m.Set(f, clean)
		case f.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, value(f, v.List().Get(i)))
			}
		default:
			m.Set(f, value(f, v))
		}
		return true
	})
}

// whole writes a number with its thousands: "12,345".
func whole(n int64) string { return thousands(strconv.FormatInt(n, 10)) }

// rateWords is "1.2% (0.9–1.6%)": a rate with its interval.
func rateWords(d *crossfadev1.MirrorDifference) string {
	return fmt.Sprintf("%s (%s–%s)", share(d.GetRate()), strings.TrimSuffix(share(d.GetLow()), "%"), share(d.GetHigh()))
}

// byName writes counts, largest first: "cap 200, stale 40". What is 0 is left out.
func byName(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) }) {
		if counts[name] > 0 {
			parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+whole(counts[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// times is "never", "once" or "12 times".
func times(n int64) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	default:
		return whole(n) + " times"
	}
}

// sumOf adds counts up.
func sumOf(counts map[string]int64) int64 {
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	return sum
}

// perSecond writes rates by origin: "ecs 12/s, eks 10/s". Those of which nothing is asked are left out.
func perSecond(rps map[string]float64) string {
	var parts []string
	for _, o := range slices.Sorted(maps.Keys(rps)) {
		if rps[o] == 0 {
			continue
		}
		parts = append(parts, o+" "+rate(rps[o])+"/s")
	}
	return strings.Join(parts, ", ")
}

// shapeWords is a value without its content: "string(12) #0a1b2c3d4e5f6071".
func shapeWords(s *crossfadev1.MirrorShape) string {
	words := cmp.Or(s.GetType(), "nothing")
	switch {
	case s.GetValue() != "":
		return s.GetValue()
	case s.GetHash() != "":
		words += "(" + strconv.FormatInt(s.GetLength(), 10) + ") #" + s.GetHash()
	case s.GetLength() > 0:
		words += "(" + strconv.FormatInt(s.GetLength(), 10) + ")"
	}
	return words
}

// kindCounts counts differences by state. What is blind is noise too.
func kindCounts(r *crossfadev1.MirrorReport) (findings, open, noise int) {
	for _, d := range r.GetDifferences() {
		switch d.GetState() {
		case diffFinding:
			findings++
		case diffOpen:
			open++
		default:
			noise++
		}
	}
	return findings, open, noise
}

// utc is a time as tables have it.
func utc(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().UTC().Format("2006-01-02 15:04:05")
}

// textWidth is where text for people breaks.
const textWidth = 116

// paragraph writes a text below a label, broken between words so that no line is too wide.
func (a *app) paragraph(label string, c color, text string) {
	const indent = 13
	width := textWidth
	if a.width > 0 {
		width = min(width, a.width)
	}
	lead := "  " + a.paint(label, c) + strings.Repeat(" ", max(1, indent-2-utf8.RuneCountInString(label)))
	for _, line := range wrapped(text, width-indent) {
		a.say("%s%s", lead, line)
		lead = strings.Repeat(" ", indent)
	}
}

// errEnded says that an experiment has ended, which ends a watch of it.
var errEnded = errors.New("the experiment has ended")

// endOf is when a run ended, or ends by itself.
func endOf(r *crossfadev1.MirrorReport) *timestamppb.Timestamp {
	if ended := r.GetRun().GetEnded(); ended != nil {
		return ended
	}
	return r.GetEnds()
}

// lasted is how long a run took, or takes.
func lasted(r *crossfadev1.MirrorReport) time.Duration {
	if r.GetRun().GetStarted() == nil || endOf(r) == nil {
		return 0
	}
	return endOf(r).AsTime().Sub(r.GetRun().GetStarted().AsTime())
}
