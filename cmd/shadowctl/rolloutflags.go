package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// rolloutFlags are the parts of a plan on the command line.
type rolloutFlags struct {
	service, to, from, preset string
	bake, retention           time.Duration
	minRequests               int64
	guards, approvals         []string
	onFailure, hook           string
}

// guardHelp is what --guard takes.
const guardHelp = `p99<=10s, errorRate<=0.5%, p99<=1.2x:ecs, requests>=100 or mirror:m1`

// guardsLong tells how guards are written on the command line, and what only files can say.
const guardsLong = `--guard may be given several times:
  p99<=10s          a latency of the new origin: p50, p90, p99 or mean
  errorRate<=0.5%   answers that failed, and requests without an answer
  p99<=1.2x:ecs     at most 1.2 times that of ecs in the same time; without :ecs, that of the origin that traffic comes from
  requests>=100     so many in 10s, or the step is held
  mirror:m1         the verdict of a mirror experiment
A file can say more: names, windows, queries of Prometheus, a bake for each step. "shadowctl example rollout" shows it.`

// add declares the flags. Defaults that are the server's are only told: what is not given is not sent.
func (f *rolloutFlags) add(a *app, cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.service, "service", "", "the `SERVICE` whose traffic moves")
	s.StringVar(&f.to, "to", "", "the `ORIGIN` that traffic moves to")
	s.StringVar(&f.from, "from", "", "the `ORIGIN` that traffic moves from (default: the primary)")
	s.StringVar(&f.preset, "preset", "", "`WEIGHTS` of the steps in percent, for example "+rollout.Presets()[1])
	s.DurationVar(&f.bake, "bake", rollout.DefaultBake, "how `LONG` each step is watched, with all guards passing")
	s.Int64Var(&f.minRequests, "min-requests", 0, "each step needs `N` requests at the new origin")
	s.StringArrayVar(&f.guards, "guard", nil, "`LIMIT` that must hold, for example p99<=10s; may be repeated")
	s.StringVar(&f.onFailure, "on-failure", "", "`WHAT` a failing guard leads to: rollback, gradual or freeze (default rollback)")
	s.StringArrayVar(&f.approvals, "approve-before", nil, "`WEIGHT:ROLE`: who approves before a step, for example 50%:approver; may be repeated")
	s.StringVar(&f.hook, "hook", "", "`URL` of the webhook that is told, and asked before each step")
	s.DurationVar(&f.retention, "retention", rollout.DefaultRetention, "how `LONG` the old origin is kept after 100%; 0s: not at all")
	f.complete(a, cmd)
}

func (f *rolloutFlags) complete(a *app, cmd *cobra.Command) {
	from := func(flag string, offer completer) {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) { // the flag exists
			return a.completeArgs(offer)(cmd, nil, word)
		})
	}
	words := func(offers ...string) completer {
		return func(context.Context, *app, []string) []string { return offers }
	}
	origin := func(ctx context.Context, a *app, _ []string) []string {
		return completeOrigin(ctx, a, []string{f.service})
	}
	from("service", completeService)
	from("to", origin)
	from("from", origin)
	from("preset", words(rollout.Presets()...))
	from("on-failure", words(string(rollout.BackAtOnce), string(rollout.BackInStep), string(rollout.Freeze)))
	from("guard", words("p50<=", "p90<=", "p99<=", "mean<=", "errorRate<=", "requests>="))
	for _, flag := range []string{"bake", "min-requests", "approve-before", "hook", "retention"} {
		from(flag, completeNothing)
	}
}

// rollout builds the document. What is allowed in it is the server's to say, but without these three there is nothing to say.
func (f *rolloutFlags) rollout(name string, given []string) (*crossfadev1.Rollout, error) {
	for _, need := range []struct{ flag, value, what string }{
		{"service", f.service, "the service whose traffic moves"},
		{"to", f.to, "the origin that traffic moves to"},
		{"preset", f.preset, "the weights of the steps in percent, for example " + rollout.Presets()[1]},
	} {
		if need.value == "" {
			e := badFlag(need.flag, "", "is needed: "+need.what)
			e.problems[0].next = "flags describe the whole rollout, so they take --service, --to and --preset; -f reads it from a file"
			return nil, e
		}
	}
	r := &crossfadev1.Rollout{
		ApiVersion: policy.APIVersion, Kind: policy.KindRollout, Name: name, Service: f.service, To: f.to, From: f.from, Preset: f.preset,
		MinRequests: f.minRequests, OnFailure: f.onFailure,
	}
	if slices.Contains(given, "bake") {
		r.Bake = durationpb.New(f.bake)
	}
	if slices.Contains(given, "retention") {
		r.Retention = durationpb.New(f.retention)
	}
	if f.hook != "" {
		r.Hook = &crossfadev1.RolloutHook{Url: f.hook}
	}
	if err := f.addGuards(r); err != nil {
		return nil, err
	}
	return r, f.addGates(r)
}

func (f *rolloutFlags) addGuards(r *crossfadev1.Rollout) error {
	names := map[string]int{}
	for _, text := range f.guards {
		g, ok := parseGuard(text)
		if !ok {
			e := badFlag("guard", text, "must be like "+guardHelp)
			e.problems[0].next = "a file can say more: shadowctl example rollout"
			return e
		}
		if names[g.Name]++; names[g.Name] > 1 {
			g.Name = fmt.Sprintf("%s-%d", cutName(g.Name, 60), names[g.Name])
		}
		r.Guards = append(r.Guards, g)
	}
	return nil
}

// addGates makes steps of the preset where one of them has a gate: a preset has none.
func (f *rolloutFlags) addGates(r *crossfadev1.Rollout) error {
	if len(f.approvals) == 0 {
		return nil
	}
	ladder, errs := rollout.ParseLadder(f.preset, 0, 0)
	if len(errs) > 0 {
		return flagError("preset", errs[0])
	}
	r.Preset = ""
	for _, s := range ladder {
		r.Steps = append(r.Steps, &crossfadev1.RolloutStep{Weight: int32(s.Weight)})
	}
	for _, text := range f.approvals {
		percent, role, ok := strings.Cut(text, ":")
		if !ok || !policy.ValidName(role) {
			return badFlag("approve-before", text, "must be WEIGHT:ROLE, for example 50%:approver")
		}
		weight, err := policy.ParseWeight(percent)
		if err != nil {
			return flagError("approve-before", err)
		}
		at := slices.IndexFunc(r.Steps, func(s *crossfadev1.RolloutStep) bool { return s.GetWeight() == int32(weight) })
		switch {
		case at < 0:
			e := badFlag("approve-before", text, "is before no step: the weights are "+f.preset)
			e.problems[0].next = fmt.Sprintf("write for example %s:%s, or add %s to --preset", weightWords(r.Steps[len(r.Steps)-1].GetWeight()), role, strings.TrimSuffix(percent, "%"))
			return e
		case r.Steps[at].Gate != nil:
			e := badFlag("approve-before", text, "this step has a gate already")
			e.problems[0].next = "one role approves before a step: leave one of them out"
			return e
		}
		r.Steps[at].Gate = &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: role}}
	}
	return nil
}

// metrics are those that a guard on the command line may name.
var metrics = []guard.Metric{guard.P50, guard.P90, guard.P99, guard.Mean, guard.ErrorRate, guard.Requests}

// parseGuard reads the short form of a guard; false if it is none. Whether its limit makes sense is said by whoever compiles it.
func parseGuard(text string) (*crossfadev1.RolloutGuard, bool) {
	text = strings.TrimSpace(text)
	if mirror, ok := strings.CutPrefix(text, "mirror:"); ok {
		return &crossfadev1.RolloutGuard{Name: cutName("mirror-"+mirror, policy.MaxNameBytes), Mirror: mirror}, policy.ValidName(mirror)
	}
	metric, limit, most := strings.Cut(text, "<=")
	if !most {
		metric, limit, _ = strings.Cut(text, ">=")
	}
	metric, limit = strings.TrimSpace(metric), strings.TrimSpace(limit)
	m := guard.Metric(metric)
	if !slices.Contains(metrics, m) || limit == "" || most == (m == guard.Requests) {
		return nil, false
	}
	g := &crossfadev1.RolloutGuard{Name: strings.ToLower(metric), Metric: metric}
	if m == guard.ErrorRate {
		g.Name = "error-rate"
	}
	if !most {
		g.Min = limit
		return g, true
	}
	ratio, against, named := strings.Cut(limit, ":")
	number, isRatio := strings.CutSuffix(ratio, "x")
	if !isRatio {
		g.Max = limit
		return g, !named
	}
	times, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" || named && !policy.ValidName(against) {
		return nil, false
	}
	g.MaxRatio, g.Against = times, against
	g.Name = cutName(g.Name+"-"+dashOr(against, "ratio"), policy.MaxNameBytes)
	return g, times > 0 // 0 is no ratio
}

// cutName shortens a name so that it stays one.
func cutName(name string, most int) string {
	return strings.TrimRight(name[:min(most, len(name))], "-")
}
