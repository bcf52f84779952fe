package control_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/experiment"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// desk remembers what it was told.
type desk struct {
	mu  sync.Mutex
	all map[string]experiment.Mirror
}

func (d *desk) Set(all []experiment.Mirror) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = map[string]experiment.Mirror{}
	for _, m := range all {
		d.all[m.Doc.GetName()] = m
	}
}

func (d *desk) of(name string) experiment.Mirror {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[name]
}

func (d *desk) Report(string) (*crossfadev1.MirrorReport, bool) { return nil, false }
func (d *desk) Statuses(string) []*crossfadev1.MirrorStatus     { return nil }
func (d *desk) Changed() <-chan struct{}                        { return nil }
func (d *desk) Estimate(*policy.Mirror) *crossfadev1.MirrorEstimate {
	return &crossfadev1.MirrorEstimate{}
}

// mirrorWorld is a world with a desk and a service.
func mirrorWorld(t *testing.T, dir string) (*world, *desk) {
	t.Helper()
	d := &desk{}
	w := newWorldWith(t, dir, control.Config{Experiments: d, Mirrors: control.MirrorRules{Values: []string{"$.state"}, Identities: []string{"probe"}, MaxRPS: 100}})
	return w, d
}

func mirrorDoc(name string) *crossfadev1.Mirror {
	return &crossfadev1.Mirror{
		ApiVersion: policy.APIVersion, Kind: policy.KindMirror, Name: name, Service: "orders", Candidate: "eks", Share: 100, MaxRps: 50, Duration: durationpb.New(time.Hour),
	}
}

func (w *world) start(name string) {
	w.t.Helper()
	if _, _, err := w.StartMirror(w.t.Context(), mirrorDoc(name), "", control.Options{Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
		w.t.Fatal(err)
	}
}

func none() control.Options { return control.Options{Wait: crossfadev1.Wait_WAIT_NONE} }

func TestAMirrorStartsAndStops(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(0)
	change, started, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", none())
	if err != nil {
		t.Fatal(err)
	}
	if change.GetKind() != "Mirror" || change.GetService() != "m1" || change.GetAction() != control.ActionMirrorStart || started.GetRun().GetId() == "" {
		t.Errorf("started %v, run %v", change, started.GetRun())
	}
	if m := d.of("m1"); !m.Policy.Running() || m.Policy.Control != "ecs" || m.Policy.Share != 100 || !slices.Equal(m.Fleets, []string{"default"}) {
		t.Errorf("the desk knows %+v", m.Policy)
	}
	if change, err = w.StopMirror(t.Context(), "m1", none()); err != nil || change.GetAction() != control.ActionMirrorEnd {
		t.Fatal(change, err)
	}
	if m := d.of("m1"); m.Policy.Running() || m.Doc.GetRun().GetWhy() != "stopped" {
		t.Errorf("after the stop the desk knows %v", m.Doc.GetRun())
	}
	if change, err = w.StopMirror(t.Context(), "m1", none()); err != nil || change.GetAction() != "none" {
		t.Errorf("a second stop: %v, %v", change, err)
	}
	if _, again, err := w.StartMirror(t.Context(), nil, "m1", none()); err != nil || again.GetRun().GetId() == started.GetRun().GetId() {
		t.Errorf("a second run: %v, %v", again.GetRun(), err)
	}
}

func TestWhatAMirrorMayNot(t *testing.T) {
	w, _ := mirrorWorld(t, t.TempDir())
	if _, _, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", none()); !has(err, "unknown_service") {
		t.Errorf("of no service: %v", err)
	}
	w.apply(0)
	w.start("m1")
	for code, change := range map[string]func(*crossfadev1.Mirror){
		"mirror_running":     func(m *crossfadev1.Mirror) { m.Name = "m2" }, // on a service that has one
		"origin_unknown":     func(m *crossfadev1.Mirror) { m.Candidate = "gke" },
		"unknown_identity":   func(m *crossfadev1.Mirror) { m.Identity = "admin" },
		"values_not_allowed": func(m *crossfadev1.Mirror) { m.Values = []string{"$.state", "$.name"} },
		"mirror_budget":      func(m *crossfadev1.Mirror) { m.MaxRps = 101 },
		"rule_action":        func(m *crossfadev1.Mirror) { m.Rules = []*crossfadev1.MirrorRule{{Path: "$.x", Action: "forget"}} },
	} {
		if code != "mirror_running" {
			if _, err := w.StopMirror(t.Context(), "m1", none()); err != nil {
				t.Fatal(err)
			}
		}
		doc := mirrorDoc("m1")
		change(doc)
		if _, _, err := w.StartMirror(t.Context(), doc, "", none()); !has(err, code) {
			t.Errorf("%s: %v", code, err)
		}
		if code == "mirror_running" {
			continue
		}
		w.start("m1")
	}
}

// has says whether an error, or one of several, has a code.
func has(err error, code string) bool {
	var all policy.Errors
	var one *policy.Error
	switch {
	case errors.As(err, &all):
		return slices.ContainsFunc(all, func(e *policy.Error) bool { return e.Code == code })
	case errors.As(err, &one):
		return one.Code == code
	}
	return false
}

func TestApplyingAMirrorAgain(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	apply := func(m *crossfadev1.Mirror) (*crossfadev1.Change, error) {
		changes, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Mirror{Mirror: m}}}, none())
		if err != nil {
			return nil, err
		}
		return changes[0], nil
	}
	both := []*crossfadev1.Document{{Object: &crossfadev1.Document_Mirror{Mirror: mirrorDoc("m1")}}, orders(0)}
	if _, err := w.Apply(t.Context(), both, none()); err != nil {
		t.Fatal("with its service in one apply:", err)
	}
	run := d.of("m1").Doc.GetRun().GetId()
	if c, err := apply(mirrorDoc("m1")); err != nil || c.GetAction() != "none" || run == "" || d.of("m1").Doc.GetRun().GetId() != run {
		t.Errorf("the same again: %v, %v", c, err)
	}
	other := mirrorDoc("m1")
	other.Share = 200
	if _, err := apply(other); !has(err, "mirror_running") {
		t.Errorf("another content while it runs: %v", err)
	}
	if _, err := w.StopMirror(t.Context(), "m1", none()); err != nil {
		t.Fatal(err)
	}
	if c, err := apply(mirrorDoc("m1")); err != nil || c.GetAction() != "none" || d.of("m1").Policy.Running() {
		t.Errorf("the same after its end: %v, %v", c, err)
	}
	if c, err := apply(other); err != nil || c.GetAction() != control.ActionApply || !d.of("m1").Policy.Running() {
		t.Errorf("another content after its end: %v, %v", c, err)
	}
}

func TestARollbackEndsAMirror(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(1000)
	w.start("m1")
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, none()); err != nil {
		t.Fatal(err)
	}
	within(t, "the mirror has ended", func() bool { return d.of("m1").Doc.GetRun().GetWhy() == "rolled_back" })
	if _, _, err := w.Get("mirror", "m1"); err != nil {
		t.Error(err)
	}
	w.start("m2") // dark tests after a rollback are in order
	if m := d.of("m2").Policy; m.Share != 100 {
		t.Errorf("started after the rollback, it has a share of %d", m.Share)
	}
}

// TestARollbackWhileAMirrorIsWritten: what was started before a rollback asks nobody after it, whichever is recorded first.
func TestARollbackWhileAMirrorIsWritten(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(1000)
	w.store.close()
	started := make(chan error)
	go func() {
		_, _, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", none())
		started <- err
	}()
	<-w.store.arrived
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, none()); err != nil {
		t.Fatal(err)
	}
	w.store.open()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	within(t, "the mirror asks nobody", func() bool { m := d.of("m1").Policy; return m != nil && (m.Share == 0 || !m.Running()) })
}

func TestAMirrorOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	w, d := mirrorWorld(t, dir)
	w.apply(0)
	w.start("m1")
	run := d.of("m1").Doc.GetRun().GetId()
	w.stop()
	w, d = mirrorWorld(t, dir)
	if m := d.of("m1"); !m.Policy.Running() || m.Policy.Run.ID != run || m.Policy.Control != "ecs" || m.Policy.Share != 100 {
		t.Fatalf("after a restart: %+v", m.Policy)
	}
	if _, err := w.Delete(t.Context(), "service", "orders", none()); err != nil {
		t.Fatal(err)
	}
	if m := d.of("m1"); m.Doc.GetRun().GetWhy() != "service_gone" {
		t.Errorf("its service is gone: %v", m.Doc.GetRun())
	}
	if _, err := w.Delete(t.Context(), "mirror", "m1", none()); err != nil {
		t.Fatal(err)
	}
	if m := d.of("m1"); m.Doc != nil {
		t.Errorf("deleted: %v", m.Doc)
	}
}

func TestAServiceKeepsWhatItsMirrorAsks(t *testing.T) {
	w, _ := mirrorWorld(t, t.TempDir())
	w.apply(0)
	w.start("m1")
	doc := orders(0)
	doc.GetService().Origins[1].Name = "gke"
	doc.GetService().Split = nil
	_, err := w.Apply(t.Context(), []*crossfadev1.Document{doc}, none())
	if !has(err, "mirror_running") || !strings.Contains(err.Error(), "mirror stop m1") {
		t.Errorf("an apply that takes the candidate away: %v", err)
	}
	w.apply(2500) // what does not concern it goes on
}

// TestComparatorsAreToldToFleetsWithMirrors and to no others.
func TestComparatorsAreToldToFleetsWithMirrors(t *testing.T) {
	w, _ := mirrorWorld(t, t.TempDir())
	w.apply(0)
	at := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:18002")}
	w.SetComparators(at)
	before := w.Revision()
	w.start("m1")
	w.SetComparators(append(at, netip.MustParseAddrPort("127.0.0.2:18002")))
	if w.Revision() != before+1 {
		t.Errorf("revision %d after %d: addresses of comparators are no change of intent", w.Revision(), before)
	}
}

// within waits for what comes by itself.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, 5*time.Millisecond, poll.True(so)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestARollbackDoesNotWaitForTheDeskOfExperiments, whose files may be on a disk that hangs.
func TestARollbackDoesNotWaitForTheDeskOfExperiments(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(1000)
	d.mu.Lock() // Set does not return
	started := make(chan error, 1)
	go func() {
		_, _, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", none())
		started <- err
	}()
	within(t, "the mirror is live", func() bool { _, _, err := w.Get("mirror", "m1"); return err == nil })
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, none()); err != nil {
		t.Fatal(err)
	}
	d.mu.Unlock()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
}

// TestTheControlOfARunStays when the primary changes: what was counted with one control does not go with another.
func TestTheControlOfARunStays(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(0)
	w.start("m1")
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 10000}, none()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetPrimary(t.Context(), "orders", "eks", none()); err != nil {
		t.Fatal(err)
	}
	if m := d.of("m1"); m.Policy.Control != "ecs" || m.Doc.GetControl() != "ecs" {
		t.Errorf("control is %q, in the document %q", m.Policy.Control, m.Doc.GetControl())
	}
	if c, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Mirror{Mirror: mirrorDoc("m1")}}}, none()); err != nil || c[0].GetAction() != "none" {
		t.Errorf("the document as it was written, again: %v, %v", c, err)
	}
}

// TestAMirrorThatARollbackOvertakesEnds, and its answer says so.
func TestAMirrorThatARollbackOvertakesEnds(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(1000)
	w.store.close()
	answered := make(chan *crossfadev1.Change)
	go func() {
		change, _, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", none())
		if err != nil {
			t.Error(err)
		}
		answered <- change
	}()
	<-w.store.arrived
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, none()); err != nil {
		t.Fatal(err)
	}
	w.store.open()
	if change := <-answered; !slices.ContainsFunc(change.GetWarnings(), func(s string) bool { return strings.Contains(s, "a rollback came") }) {
		t.Errorf("warnings %q", change.GetWarnings())
	}
	within(t, "the mirror has ended", func() bool { return d.of("m1").Doc.GetRun().GetWhy() == "rolled_back" })
}

// TestAMirrorAfterARollbackOutlivesChangesAndARestart.
func TestAMirrorAfterARollbackOutlivesChangesAndARestart(t *testing.T) {
	dir := t.TempDir()
	w, _ := mirrorWorld(t, dir)
	w.apply(1000)
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, none()); err != nil {
		t.Fatal(err)
	}
	w.start("m1")
	doc := orders(0)
	doc.GetService().Hosts, doc.GetService().Split = append(doc.GetService().Hosts, "more.test"), nil
	if _, err := w.Apply(t.Context(), []*crossfadev1.Document{doc}, none()); err != nil {
		t.Fatal(err)
	}
	w.stop()
	_, d := mirrorWorld(t, dir)
	if m := d.of("m1"); !m.Policy.Running() || m.Policy.Share != 100 {
		t.Errorf("after the restart: %+v, %v", m.Policy.Run, m.Policy.Share)
	}
}

func TestDeletingAServiceWithItsRevisionEndsItsMirror(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	w.apply(0)
	revision := w.Revision()
	w.start("m1")
	o := none()
	o.Expect = revision
	if _, err := w.Delete(t.Context(), "service", "orders", o); err != nil {
		t.Fatal(err)
	}
	if why := d.of("m1").Doc.GetRun().GetWhy(); why != "service_gone" {
		t.Errorf("it ended by %q", why)
	}
}

func TestARepeatedStartIsAnsweredWhole(t *testing.T) {
	w, _ := mirrorWorld(t, t.TempDir())
	w.apply(0)
	o := none()
	o.Key, o.Digest = "key", []byte("digest")
	for range 2 {
		if _, started, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", o); err != nil || started.GetName() != "m1" {
			t.Fatalf("%v, %v", started, err)
		}
	}
}

func TestAnOriginIsNotComparedWithItself(t *testing.T) {
	w, _ := mirrorWorld(t, t.TempDir())
	doc := orders(0)
	for _, o := range doc.GetService().GetOrigins() {
		o.GetStatic().Endpoints = []string{"127.0.0.2:8080"}
	}
	if _, err := w.Apply(t.Context(), []*crossfadev1.Document{doc}, none()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.StartMirror(t.Context(), mirrorDoc("m1"), "", none()); !has(err, "same_endpoints") {
		t.Errorf("%v", err)
	}
}

// TestARollbackOfAllEndsMirrorsByOneChange: a hundred would each make the proxies rebuild.
func TestARollbackOfAllEndsMirrorsByOneChange(t *testing.T) {
	w, d := mirrorWorld(t, t.TempDir())
	for _, name := range []string{"a", "b", "c"} {
		doc := orders(1000)
		doc.GetService().Name, doc.GetService().Hosts = name, []string{name + ".test"}
		m := mirrorDoc("m-" + name)
		m.Service, m.MaxRps = name, 10
		if _, err := w.Apply(t.Context(), []*crossfadev1.Document{doc, {Object: &crossfadev1.Document_Mirror{Mirror: m}}}, none()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{All: true}, none()); err != nil {
		t.Fatal(err)
	}
	stamps := map[string]bool{}
	within(t, "all have ended", func() bool { return d.of("m-a").Doc.GetRun().GetWhy() != "" && d.of("m-c").Doc.GetRun().GetWhy() != "" })
	all, err := w.History(t.Context(), "", 0, 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.GetAction() == control.ActionMirrorEnd {
			stamps[r.GetStamp()] = true
		}
	}
	if len(stamps) != 1 {
		t.Errorf("%d changes", len(stamps))
	}
}
