package experiment

import (
	"fmt"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// TestFindingsAreKnownAgainUnderTheirTemplate: more paths make a template of an endpoint, and its findings go with it.
func TestFindingsAreKnownAgainUnderTheirTemplate(t *testing.T) {
	row := func(endpoint, path string, state shadow.State) shadow.Row {
		return shadow.Row{Endpoint: endpoint, Kind: shadow.KindStatus, Path: path, State: state}
	}
	before := []found{{"/orders/bob", shadow.KindStatus, "status"}, {"/gone", shadow.KindStatus, "status"}}
	r := &shadow.Report{Verdict: shadow.Pass, Differences: []shadow.Row{
		row("/new", "status", shadow.Finding), row("/a", "status", shadow.Open), row("/orders/{id}", "header:x", shadow.Noise), row("/orders/{id}", "status", shadow.Noise),
	}}
	all := remember(r, before, shadow.Policy{})
	if len(all) != 3 || all[2].Endpoint != "/new" {
		t.Errorf("remembered %v", all)
	}
	got := ""
	for _, d := range r.Differences {
		got += fmt.Sprintf("%s %s %s, ", d.Endpoint, d.Path, d.State)
	}
	if want := "/new status finding, /orders/{id} status finding, /a status open, /orders/{id} header:x noise, "; got != want {
		t.Errorf("got %s", got)
	}
	if r.Verdict != shadow.Fail || len(r.Why) != 1 || r.Why[0].Message != "2 differences are beyond noise" {
		t.Errorf("%s, %v", r.Verdict, r.Why)
	}
	for template, want := range map[string]bool{"/a/{x}": true, "/a/{x}/c": false, "/b/{x}": false, "/a/b": false, "/{x}/b": true} {
		if covers(template, "/a/b") != want {
			t.Errorf("%s covers /a/b: %v", template, !want)
		}
	}
}

// TestAMirrorWhoseServiceIsGone: it is listed, and nobody is asked.
func TestAMirrorWhoseServiceIsGone(t *testing.T) {
	w := newWorld(t, "", nil)
	doc := document(func(m *crossfadev1.Mirror) { m.Control = "" })
	w.desk.Set([]Mirror{{Doc: doc}, {Doc: &crossfadev1.Mirror{Name: "odd", Service: "orders"}}})
	c := w.connect("one", nil)
	c.idle()
	if got := w.desk.Statuses("orders"); len(got) != 2 || got[0].GetMirror() != "odd" || got[0].GetState() != stateEnded || got[1].GetState() != stateRunning {
		t.Errorf("%v", got)
	}
	if _, ok := w.desk.Report("odd"); !ok {
		t.Error("no report")
	}
}

// TestLiveTrafficAloneRenewsAReport: nothing is counted meanwhile, as when all comparators are away.
func TestLiveTrafficAloneRenewsAReport(t *testing.T) {
	w := newWorld(t, "", nil)
	doc := document(nil)
	w.desk.Set([]Mirror{mirrorOf(t, doc)})
	r := w.desk.runs["try"]
	before := w.desk.summarize(r)
	if w.desk.summarize(r) != before {
		t.Error("it was made anew, with nothing new")
	}
	w.serves(1000)
	if w.desk.summarize(r) == before {
		t.Error("it is still that of before")
	}
}

// BenchmarkReport is a report of counts that have just changed: of four comparators with 30 places each.
func BenchmarkReport(b *testing.B) {
	d, r, tally := fuzzed(b)
	for i := range 4 {
		p := r.part(fmt.Sprint(i))
		p.raw = tally
		var err error
		if p.tally, err = decode(r, tally); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		r.touch()
		if got, _ := d.Report("try"); got.GetCompared() == 0 {
			b.Fatal("nothing was compared")
		}
	}
}
