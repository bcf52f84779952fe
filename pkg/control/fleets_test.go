package control_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// spread is the document of a service in two fleets.
func spread(eks int32, fleets ...string) *crossfadev1.Document {
	doc := orders(eks)
	if doc.GetService().Fleets = fleets; len(fleets) == 0 {
		doc.GetService().Fleets = []string{"eu", "us"}
	}
	return doc
}

var inEU = control.RollbackTarget{Service: "orders", Fleet: "eu"}

// in is the weight of eks in each fleet: "eu 0, us 5000".
func (w *world) in() string {
	var out []string
	for _, fleet := range []string{"eu", "us"} {
		if items := w.List(fleet); len(items) > 0 {
			out = append(out, fmt.Sprint(fleet, " ", items[0].GetSplit()["eks"]))
		}
	}
	return strings.Join(out, ", ")
}

func (w *world) want(when, in string) {
	w.t.Helper()
	if got := w.in(); got != in {
		w.t.Fatalf("%s: %s, want %s", when, got, in)
	}
}

func (w *world) applyAll(docs ...*crossfadev1.Document) []*crossfadev1.Change {
	w.t.Helper()
	changes, err := w.Apply(w.t.Context(), docs, control.Options{Who: "ann"})
	if err != nil {
		w.t.Fatal(err)
	}
	return changes
}

func (w *world) rollBack(t control.RollbackTarget) []*crossfadev1.Change {
	w.t.Helper()
	changes, err := w.Rollback(w.t.Context(), t, control.Options{Who: "bob"})
	if err != nil {
		w.t.Fatal(err)
	}
	return changes
}

func fleetNames(c *crossfadev1.Change) (names []string) {
	for _, f := range c.GetFleets() {
		names = append(names, f.GetName())
	}
	return names
}

func TestRollbackInOneFleetOfSeveral(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	c := w.applyAll(spread(5000))[0]
	if !slices.Equal(fleetNames(c), []string{"eu", "us"}) || c.GetFleet().GetName() != "eu,us" {
		t.Errorf("the answer of an apply: %v", c)
	}
	c = w.rollBack(inEU)[0]
	if c.GetFleet().GetName() != "eu" || len(c.GetFleets()) != 0 || c.GetSplit()["eks"] != 0 || !c.GetRecorded() {
		t.Errorf("the answer of a rollback in eu: %v", c)
	}
	for range 2 { // also after a restart
		w.want("after it", "eu 0, us 5000")
		s := w.List("")[0]
		if s.GetRolledBack() || !slices.Equal(s.GetRolledBackIn(), []string{"eu"}) || s.GetFleet() != "" || len(s.GetFleets()) != 2 || s.GetSplit()["eks"] != 5000 {
			t.Errorf("status: %v", s)
		}
		w.stop()
		w = newWorld(t, dir)
	}
	if got := w.rollBack(inEU); !got[0].GetRecorded() {
		t.Errorf("once more: %v", got)
	}
	if warnings := w.applyAll(spread(6000))[0].GetWarnings(); !slices.ContainsFunc(warnings, func(s string) bool { return strings.HasPrefix(s, "rolled back in eu:") }) {
		t.Errorf("an apply that does not show in eu says nothing of it: %v", warnings)
	}
	w.want("after an apply", "eu 0, us 6000")
	ends := spread(6000)
	ends.GetService().RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: "us"}}
	if _, err := w.Apply(t.Context(), []*crossfadev1.Document{ends}, control.Options{}); !is(err, policy.Held) {
		t.Fatalf("an apply that would end it: %v", err)
	}
	if d, err := w.Diff([]*crossfadev1.Document{ends}); err != nil || len(d[0].GetFields()) == 0 {
		t.Errorf("a diff shows it all the same: %v %v", d, err)
	}
	if _, err := w.SetSplit(t.Context(), "orders", split(7000), control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.want("after a split", "eu 7000, us 7000")
	w.rollBack(inEU)
	if _, err := w.Undo(t.Context(), "orders", 0, control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.want("after an undo", "eu 7000, us 7000")
	w.rollBack(inEU)
	w.rollBack(orderTarget)
	w.want("after a rollback everywhere", "eu 0, us 0")
	if s := w.List("")[0]; !s.GetRolledBack() || len(s.GetRolledBackIn()) != 0 {
		t.Errorf("status: %v", s)
	}
}

func TestRollbackOfAllServicesInOneFleet(t *testing.T) {
	w := newWorld(t, t.TempDir())
	local, other := orders(5000), orders(5000)
	local.GetService().Name, local.GetService().Fleet, local.GetService().Hosts = "local", "eu", []string{"local.test"}
	other.GetService().Name, other.GetService().Fleet, other.GetService().Hosts = "other", "us", []string{"other.test"}
	w.applyAll(spread(5000), local, other)
	if got := len(w.rollBack(control.RollbackTarget{All: true, Fleet: "eu"})); got != 2 {
		t.Errorf("%d services", got)
	}
	w.want("the first of each fleet", "eu 0, us 5000")
	all := w.List("")
	if !all[0].GetRolledBack() || all[0].GetSplit()["eks"] != 0 || all[2].GetRolledBack() || all[2].GetSplit()["eks"] != 5000 {
		t.Errorf("%v", all)
	}
	if _, err := w.Rollback(t.Context(), control.RollbackTarget{Service: "other", Fleet: "eu"}, control.Options{}); !is(err, policy.Invalid) {
		t.Errorf("a fleet that does not serve it: %v", err)
	}
}

// What the journal has of a rollback in one fleet becomes that, after a restart.
func TestRollbackInOneFleetFromTheJournal(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.applyAll(spread(5000))
	w.store.failWith(fmt.Errorf("%w: no space left on device", store.ErrUnavailable))
	if c := w.rollBack(inEU); c[0].GetRecorded() {
		t.Fatalf("%v", c)
	}
	w.want("live", "eu 0, us 5000")
	w.stop()
	again := newWorld(t, dir)
	again.want("after a restart", "eu 0, us 5000")
	again.Close()
	if h := again.history()[0]; h.GetAction() != control.ActionRollback || h.GetAfter().GetService().GetRolledBackIn()[0].GetFleet() != "eu" {
		t.Errorf("recorded: %v", h)
	}
}

// A rollback in one fleet overtakes a change that is being written, there; with pins kept by a later one, those of the first stay off.
func TestRollbackInOneFleetOverridesAChangeThatIsBeingWritten(t *testing.T) {
	w := newWorld(t, t.TempDir())
	doc := spread(1000)
	doc.GetService().Pins = []*crossfadev1.Pin{{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}}}}
	w.applyAll(doc)
	w.store.close()
	done := make(chan error, 1)
	go func() {
		_, err := w.SetSplit(context.Background(), "orders", split(9000), control.Options{})
		done <- err
	}()
	<-w.store.arrived
	w.rollBack(inEU)
	kept := inEU
	kept.KeepPins = true
	w.rollBack(kept)
	w.store.open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.want("after both", "eu 0, us 9000")
	if s := w.List("eu")[0]; len(s.GetPins()) != 0 {
		t.Errorf("pins that a rollback switched off: %v", s.GetPins())
	}
	if s := w.List("us")[0]; len(s.GetPins()) != 1 {
		t.Errorf("pins of the other fleet: %v", s.GetPins())
	}
}

// A change that waits while a rollback in one fleet comes would send traffic there again: it is refused, like any change that waits.
func TestRollbackInOneFleetOverridesAChangeThatWaits(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.applyAll(spread(5000))
	w.store.close()
	w.store.asked = make(chan string, 2)
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := w.SetSplit(context.Background(), "orders", split(5000), control.Options{Key: "k", Digest: []byte("d")})
			done <- err
		}()
		<-w.store.asked
	}
	go func() { // the one that holds the store
		_, _ = w.SetSplit(context.Background(), "orders", split(4000), control.Options{})
	}()
	<-w.store.arrived
	w.rollBack(inEU)
	w.store.open()
	for range 2 {
		if err := <-done; err != nil && !is(err, policy.Held) {
			t.Fatal(err)
		}
	}
	if got := w.List("eu")[0].GetSplit()["eks"]; got != 0 {
		t.Errorf("eks %d in eu after the rollback", got)
	}
}

func TestMovingAServiceBetweenFleets(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.applyAll(spread(5000, "eu"))
	c := w.applyAll(spread(5000, "us", "eu"))[0]
	if !slices.Equal(fleetNames(c), []string{"us", "eu"}) {
		t.Errorf("%v", c.GetFleets())
	}
	w.want("in both", "eu 5000, us 5000")
	w.rollBack(inEU)
	c = w.applyAll(spread(5000, "us"))[0]
	if names := fleetNames(c); !slices.Equal(names, []string{"us", "eu"}) || len(c.GetFleets()[1].GetSplit()) != 0 {
		t.Errorf("the fleet that it leaves is answered for: %v", c.GetFleets())
	}
	w.want("in one", "us 5000")
	if s := w.List("")[0]; s.GetFleet() != "us" || len(s.GetRolledBackIn()) != 0 {
		t.Errorf("status: %v", s)
	}
	if _, err := w.Delete(t.Context(), "service", "orders", control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.want("deleted", "")
}

func TestExplainInAFleet(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.applyAll(spread(5000))
	w.rollBack(inEU)
	for fleet, want := range map[string]string{"eu": "orders ecs", "us": "orders ", "": " "} {
		got, err := w.Explain(&crossfadev1.ExplainRouteRequest{Fleet: fleet, Host: "orders.test"})
		if err != nil || got.GetService()+" "+got.GetOrigin() != want {
			t.Errorf("%s: %v %v", fleet, got, err)
		}
	}
}
