package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// DefaultBake is for how long a step is watched that does not say so.
const DefaultBake = 5 * time.Minute

// Compiled is a document that was checked as far as it can be without its service. It is immutable.
type Compiled struct {
	// Plan has no ID, no starter and no primary yet, and no From where the document leaves that open: see [Compiled.For].
	Plan Plan
	// Specs are the guards of metrics, in the order written. Against is empty where it is the origin that traffic moves from.
	Specs []guard.Spec
	// Mirrors are the mirror experiments of guards, by the names of the guards.
	Mirrors map[string]string
	// Queries are the guards that ask Prometheus, in the order written.
	Queries []*Query
	// Lease is that of the document's run; 0: it walks alone, or never started.
	Lease time.Duration

	steps []stepFields // where the document says what a step is
	at    []int        // of each of Specs, its place among the guards of the document
}

// stepFields are the fields that a step comes from: its own, or those of the whole rollout.
type stepFields struct{ weight, bake, minRequests string }

// Compile gives a document its meaning: defaults filled in, every rule checked that can be without the service. It returns a plan or everything that
// is wrong with the document, in the order of its fields, never both. The document is not changed and not kept. What it says of its run does not count.
func Compile(doc *crossfadev1.Rollout) (*Compiled, policy.Errors) {
	c, found := read(doc)
	if len(found) > 0 {
		return nil, found
	}
	return c, nil
}

// read does the work of [Compile], and returns also what could be read of a document that is wrong; nil if it is not even of this kind.
func read(doc *crossfadev1.Rollout) (*Compiled, policy.Errors) {
	if doc == nil {
		return nil, policy.Errors{invalid("", "document_empty", "", "the document is empty", "see `shadowctl example rollout`")}
	}
	r := reader{doc: doc, out: &Compiled{Mirrors: map[string]string{}}}
	r.found = append(policy.CheckHeader(doc.GetApiVersion(), doc.GetKind(), policy.KindRollout), policy.Unknown(doc)...)
	p := &r.out.Plan
	p.Name, p.Service, p.To, p.From, p.OnFailure = doc.GetName(), doc.GetService(), doc.GetTo(), doc.GetFrom(), OnFailure(doc.GetOnFailure())
	r.steps()
	r.guards()
	r.times()
	r.hook()
	if len(p.Steps) <= MaxSteps && len(p.Guards) <= MaxGuards {
		wrong := checkPlan(p)
		if len(p.Steps) == 0 && (len(doc.GetSteps()) > 0 || doc.GetPreset() != "") {
			wrong = slices.DeleteFunc(wrong, func(e *policy.Error) bool { return e.Code == "steps_empty" }) // it was said why
		}
		r.found = append(r.found, r.out.inDocument(wrong)...)
		_, bad := r.out.guardsOf(p, offline(p))
		r.found = append(r.found, bad...)
	}
	return r.out, inOrder(r.found)
}

// reader takes a document apart.
type reader struct {
	checker
	doc *crossfadev1.Rollout
	out *Compiled
}

// steps reads the steps, or the preset.
func (r *reader) steps() {
	doc, p := r.doc, &r.out.Plan
	bake := r.duration("bake", doc.GetBake(), DefaultBake, MinBake)
	switch {
	case doc.GetPreset() != "" && len(doc.GetSteps()) > 0:
		r.add("preset", "steps_twice", doc.GetPreset(), "a rollout has steps or a preset, not both", "remove one of them")
	case len(doc.GetSteps()) > MaxSteps:
		r.add("steps", "too_many", fmt.Sprint(len(doc.GetSteps())), fmt.Sprintf("too many steps: at most %d are allowed", MaxSteps), "")
	case doc.GetPreset() != "":
		ladder, found := ParseLadder(doc.GetPreset(), bake, doc.GetMinRequests())
		r.found = append(r.found, found...)
		p.Steps = ladder
		for i := range ladder {
			r.out.steps = append(r.out.steps, stepFields{weight: fmt.Sprintf("preset[%d]", i), bake: "bake", minRequests: "minRequests"})
		}
	default:
		for i, s := range doc.GetSteps() {
			r.step(fmt.Sprintf("steps[%d].", i), s, bake)
		}
	}
}

func (r *reader) step(at string, s *crossfadev1.RolloutStep, bake time.Duration) {
	fields := stepFields{weight: at + "weight", bake: "bake", minRequests: "minRequests"}
	step := PlanStep{Weight: policy.BasisPoints(s.GetWeight()), Bake: bake, MinRequests: r.doc.GetMinRequests()}
	if s.GetBake() != nil {
		fields.bake = at + "bake"
		step.Bake = r.duration(fields.bake, s.GetBake(), bake, MinBake)
	}
	if s != nil && s.MinRequests != nil {
		fields.minRequests = at + "minRequests"
		step.MinRequests = s.GetMinRequests()
	}
	if s.GetGate() != nil && s.GetGate().GetApproval() == nil {
		r.add(at+"gate", "gate_empty", "", "a gate says what it waits for", "write for example gate: {approval: {role: approver}}")
	}
	if a := s.GetGate().GetApproval(); a != nil {
		step.Gate = &Gate{Role: a.GetRole(), NotStarter: a.GetNotStarter()}
	}
	r.out.Plan.Steps = append(r.out.Plan.Steps, step)
	r.out.steps = append(r.out.steps, fields)
}

// times reads the durations of the whole rollout. A pause of none is refused, since it would be taken for the default.
func (r *reader) times() {
	doc, p := r.doc, &r.out.Plan
	p.BackPause = r.duration("backPause", doc.GetBackPause(), 0, MinBake)
	if doc.GetBackPause() != nil && p.OnFailure != BackInStep {
		r.add("backPause", "back_pause_unused", doc.GetBackPause().AsDuration().String(), `only onFailure: gradual goes back in steps`, "write onFailure: gradual, or leave backPause out")
	}
	p.Retention = r.duration("retention", doc.GetRetention(), 0, 0)
	if doc.GetRetention() != nil && p.Retention == 0 {
		p.Retention = -1
	}
	r.out.Lease = max(0, doc.GetRun().GetLease().AsDuration())
}

func (r *reader) hook() {
	if r.doc.GetHook() == nil {
		return
	}
	r.out.Plan.Hook = r.doc.GetHook().GetUrl()
	if r.out.Plan.Hook == "" {
		r.add("hook.url", "hook_url", "", "a webhook needs a URL", "write for example https://hooks.test/crossfade, or leave hook out")
	}
}

// inDocument names the fields of errors as the document does: a step may have a weight from the preset, and a bake from the rollout.
func (c *Compiled) inDocument(found policy.Errors) policy.Errors {
	for _, e := range found {
		var i int
		var field string
		if _, err := fmt.Sscanf(e.Field, "steps[%d].%s", &i, &field); err != nil || i >= len(c.steps) {
			continue
		}
		switch field {
		case "weight":
			e.Field = c.steps[i].weight
		case "bake":
			e.Field = c.steps[i].bake
		case "minRequests":
			e.Field = c.steps[i].minRequests
		}
	}
	return found
}

// inOrder sorts errors by the fields of the document, and leaves one for each field: the first that was found.
func inOrder(found policy.Errors) policy.Errors {
	order := []string{"", "apiVersion", "kind", "name", "service", "to", "from", "steps", "preset", "bake", "minRequests", "guards", "onFailure", "backPause", "retention", "hook", "run"}
	place := func(e *policy.Error) (field, index int) {
		top, rest, _ := strings.Cut(strings.SplitN(e.Field, ".", 2)[0], "[")
		_, _ = fmt.Sscanf(rest, "%d]", &index)
		return slices.Index(order, top), index
	}
	slices.SortStableFunc(found, func(a, b *policy.Error) int {
		fa, ia := place(a)
		fb, ib := place(b)
		if fa != fb {
			return fa - fb
		}
		return ia - ib
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(e *policy.Error) bool {
		twice := seen[e.Field]
		seen[e.Field] = true
		return twice
	})
}
