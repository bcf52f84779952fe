package rollout

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// FuzzCompile: no document makes it panic, an error says what and where, and what is accepted can be started, walked, stored and gone on with.
func FuzzCompile(f *testing.F) {
	for _, doc := range []*crossfadev1.Rollout{nil, {}, asked(), asked(func(d *crossfadev1.Rollout) {
		d.Steps, d.Preset, d.To, d.From, d.Guards = nil, Presets()[0], "ecs", "eks", d.Guards[:1]
	})} {
		data, err := proto.Marshal(doc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
	}
	for _, bad := range badDocuments() {
		data, err := proto.Marshal(asked(bad.change))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, ours bool) {
		doc := &crossfadev1.Rollout{}
		if proto.Unmarshal(data, doc) != nil {
			return
		}
		_, _, _ = ResumeRun(doc)
		c, errs := Compile(doc)
		if (c == nil) == (errs == nil) {
			t.Fatalf("%+v with %v", c, errs)
		}
		seen := map[string]bool{}
		for _, e := range errs {
			if e.Code == "" || e.Message == "" || seen[e.Field] {
				t.Fatalf("%+v", e)
			}
			seen[e.Field] = true
		}
		if c != nil {
			walkDocument(t, doc, c, ours)
		}
	})
}

// walkDocument starts what was accepted, in a world that has all it names, and takes a few looks.
func walkDocument(t *testing.T, doc *crossfadev1.Rollout, c *Compiled, ours bool) {
	w := &World{Origins: slices.Compact([]string{or(c.Plan.From, "ecs"), c.Plan.To}), Primary: or(c.Plan.From, "ecs"), Starter: "bob", Roles: map[string][]string{}, Mirrors: map[string]Mirror{}}
	w.Server, w.Hook = func(string) error { return nil }, func(string) error { return nil }
	if ours {
		w.Primary = c.Plan.To
	}
	w.Share = map[string]int32{w.Origins[0]: 10_000}
	for _, s := range c.Plan.Steps {
		if s.Gate != nil {
			w.Roles[s.Gate.Role] = []string{"ann", "bob"}
		}
	}
	for _, m := range c.Mirrors {
		w.Mirrors[m] = Mirror{Service: c.Plan.Service, Candidate: c.Plan.To}
	}
	p, guards, errs := c.For(w)
	if errs != nil {
		return
	}
	if len(guards) != len(c.Specs) {
		t.Fatalf("%d guards of %d", len(guards), len(c.Specs))
	}
	p.ID = p.Name + "@1"
	running := StartRun(doc, p, 0, Split{Cause: "apply", Revision: 1}, began)
	in := Inputs{Tick: Tick{Clock: "a", At: time.Second}, Split: Split{Cause: "apply", Revision: 1}, Ready: Ready{OK: true}, Hooks: map[string]HookAnswer{p.hookID(0): {OK: true}}}
	for range 3 {
		s, err := ReadWalk(running)
		if err != nil {
			t.Fatal(err)
		}
		again, resumed, errs := ResumeRun(running)
		if errs != nil || !planned(again, p) || len(resumed) != len(guards) {
			t.Fatalf("resumed as %+v, %v; was %+v", again, errs, p)
		}
		after, _, err := Step(again, s, in, began)
		if err != nil || Explain(p, after) == "" {
			t.Fatal(err)
		}
		running = WithState(running, after)
		if _, err := proto.Marshal(running); err != nil {
			t.Fatal(err)
		}
	}
}
