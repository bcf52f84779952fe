package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Presets are ladders of weights, in percent, that teams have shifted by. The first is for services where a percent is much traffic,
// the second for those that few ask, the third for those whose last tenth holds the odd clients.
func Presets() []string { return []string{"1,5,10,15,25,35,50,65,80,100", "10,50,100", "10,50,90,100"} }

// ParseLadder reads weights in percent, "10,50,100" or "0.5%, 10%", as the steps of a plan that all bake alike. Here a number without a unit is
// a percentage, since no ladder is written in basis points. Its errors are those of the field "preset"; the order is looked at by [Check].
func ParseLadder(ladder string, bake time.Duration, minRequests int64) ([]PlanStep, policy.Errors) {
	if strings.TrimSpace(ladder) == "" {
		return nil, policy.Errors{invalid("preset", "steps_empty", "", "no weights are given", "write for example "+Presets()[1])}
	}
	parts := strings.Split(ladder, ",")
	if len(parts) > MaxSteps {
		return nil, policy.Errors{invalid("preset", "too_many", fmt.Sprint(len(parts)), fmt.Sprintf("too many steps: at most %d are allowed", MaxSteps), "")}
	}
	var steps []PlanStep
	var found policy.Errors
	for i, part := range parts {
		number := strings.TrimSuffix(strings.TrimSpace(part), "%")
		weight, err := policy.ParseWeight(number + "%")
		if err != nil {
			e := invalid(fmt.Sprintf("preset[%d]", i), "weight_invalid", number, "is not a weight in percent", "write for example "+Presets()[1])
			found = append(found, e)
			continue
		}
		steps = append(steps, PlanStep{Weight: weight, Bake: bake, MinRequests: minRequests})
	}
	if len(found) > 0 {
		return nil, found
	}
	return steps, nil
}

// Line is a step of a timetable.
type Line struct {
	Step        int                // from 1
	Weight      policy.BasisPoints // of To
	Earliest    time.Duration      // after the start, if no gate, hook or verdict holds it
	Bake        time.Duration
	MinRequests int64
	Gate        string // the role that approves before; empty: no gate
}

// Timetable is when each step comes at the earliest, and after them the end. It is what a dry run prints.
func Timetable(p *Plan) (lines []Line, end time.Duration) {
	for i, s := range p.Steps {
		line := Line{Step: i + 1, Weight: s.Weight, Earliest: end, Bake: s.Bake, MinRequests: s.MinRequests}
		if s.Gate != nil {
			line.Gate = s.Gate.Role
		}
		lines = append(lines, line)
		end += s.Bake
	}
	return lines, end
}
