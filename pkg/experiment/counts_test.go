package experiment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestWhatIsNoMessageIsRefused: with a clear status, and nothing else is hurt.
func TestWhatIsNoMessageIsRefused(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(nil)
	for name, m := range map[string]*crossfadev1.WorkRequest{
		"no sequence":    counts(0),
		"a second hello": {Message: &crossfadev1.WorkRequest_Hello{}},
		"nothing":        {},
	} {
		t.Run(name, func(t *testing.T) {
			bad := w.connect("bad", nil)
			bad.say(m)
			w.await(func() error {
				if _, err := bad.last(); status.Code(err) != codes.InvalidArgument {
					return fmt.Errorf("the stream: %w", err)
				}
				return nil
			})
			bad.goes(false)
		})
	}
	if said := w.log.takes(); strings.Count(said, "is refused") != 1 {
		t.Errorf("said %s", said)
	}
}

// TestOneBadRunHurtsNoOther: it is left out and said once, the report says so, and a later word makes up for it.
func TestOneBadRunHurtsNoOther(t *testing.T) {
	w := newWorld(t, t.TempDir(), nil)
	other := document(func(m *crossfadev1.Mirror) { m.Name, m.Service = "zebra", "payments" })
	other.Run.Id = "run-2"
	w.desk.Set([]Mirror{mirrorOf(t, document(nil)), mirrorOf(t, other)})
	w.serves(1000)
	c := w.connect("one", nil)
	c.makeTally()
	c.count(20, 0)
	good := c.runCounts(nil)
	for name, change := range map[string]func(*crossfadev1.RunCounts){
		"a tally that is none": func(rc *crossfadev1.RunCounts) { rc.Tally = []byte(`{"version":1,`) },
		"a tally of a later version": func(rc *crossfadev1.RunCounts) {
			rc.Tally = []byte(strings.Replace(string(good.GetTally()), `"version":`, `"version":9`, 1))
		},
		"a tally that is cut off": func(rc *crossfadev1.RunCounts) { rc.Tally = good.GetTally()[:len(good.GetTally())/2] },
		"a tally that does not add up": func(rc *crossfadev1.RunCounts) {
			rc.Tally = []byte(strings.Replace(string(good.GetTally()), `"compared":20`, `"compared":21`, 1))
		},
		"a number below 0": func(rc *crossfadev1.RunCounts) { rc.InFlight = -1 },
		"a path that is too long": func(rc *crossfadev1.RunCounts) {
			rc.Seen = []*crossfadev1.MirrorPath{{Endpoint: strings.Repeat("a", policy.MaxSeenText+1)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.log.takes()
			asked := w.report("zebra").GetAsked()["eks"]
			for range 2 {
				c.sequence++
				c.say(counts(c.sequence, c.runCounts(change), &crossfadev1.RunCounts{Mirror: "zebra", Run: "run-2", AskedCandidate: asked + 1}))
				c.taken()
			}
			if got := w.report("zebra").GetAsked()["eks"]; got != asked+1 {
				t.Errorf("the other run: asked %d, before it %d", got, asked)
			}
			got := w.report("try")
			if len(got.GetWhy()) == 0 || got.GetWhy()[0].GetCode() != "counts_untaken" || got.GetVerdict() != "Inconclusive" {
				t.Errorf("%s, %v", got.GetVerdict(), got.GetWhy())
			}
			if said := w.log.takes(); strings.Count(said, "cannot be taken") != 1 || strings.Count(said, "\n") != 1 {
				t.Errorf("said %s", said)
			}
			c.tell(nil)
			c.taken()
			if got := w.report("try"); got.GetCompared() != 20 || got.GetVerdict() != "Pass" {
				t.Errorf("%d compared, %v", got.GetCompared(), got.GetWhy())
			}
		})
	}
}

// TestARunToldTwiceIsTakenOnce: and of too many, the first ones are.
func TestARunToldTwiceIsTakenOnce(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	first, second := c.runCounts(nil), c.runCounts(nil)
	first.AskedCandidate, second.AskedCandidate = 1, 2
	runs := append([]*crossfadev1.RunCounts{first, second}, make([]*crossfadev1.RunCounts, policy.MaxComparatorRuns)...)
	for range 2 {
		c.sequence++
		c.say(counts(c.sequence, runs...))
		c.taken()
	}
	if got := w.report("try").GetAsked()["eks"]; got != 1 {
		t.Errorf("asked %d", got)
	}
	if said := w.log.takes(); strings.Count(said, "more experiments than are taken") != 1 {
		t.Errorf("said %s", said)
	}
}

// TestTheLongestTemplateOfADocumentIsTaken: what a document may hold, a comparator may tell.
func TestTheLongestTemplateOfADocumentIsTaken(t *testing.T) {
	long := "/" + strings.Repeat("a", policy.MaxMirrorPlaceBytes-1)
	doc := document(func(m *crossfadev1.Mirror) { m.Endpoints, m.ExcludePaths = []string{long}, []string{long} })
	if _, errs := policy.CompileMirror(doc); len(errs) > 0 {
		t.Fatal(errs)
	}
	if !sound(&crossfadev1.RunCounts{Seen: []*crossfadev1.MirrorPath{{Method: "OPTIONS", Endpoint: long, Excluded: "excludePaths: " + long}}}) {
		t.Error("it is not taken")
	}
}

// TestLostBoundsWhatCameNotWhatIsAsked: 5000 copies come each second, of which 10 may be asked. Tallies come seldom, words each second.
func TestLostBoundsWhatCameNotWhatIsAsked(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(func(m *crossfadev1.Mirror) { m.MaxRps = 10 })
	c := w.connect("one", nil)
	c.share("try", 10)
	c.makeTally()
	c.tally.Drop("cap", 4997)
	came := int64(5000)
	c.tell(func(rc *crossfadev1.RunCounts) { rc.Received, rc.InFlight = came, 3 })
	c.taken()
	for range 4 {
		w.pass(time.Second)
		came += 5000
		c.tell(func(rc *crossfadev1.RunCounts) { rc.Received, rc.InFlight, rc.Tally = came, 3, nil })
		c.taken()
	}
	w.desk.save(w.time())
	w.pass(time.Second)
	came += 5000 // of which it does not tell
	missing := came - 4997
	w.again(dir, doc)
	if got := w.report("try").GetLost(); got < missing || got > missing+5000 {
		t.Errorf("after a restart: lost %d, truly %d", got, missing)
	}
	c = w.connect("one", c)
	c.goes(false)
	if got := w.report("try").GetLost(); got < missing || got > missing+5000 {
		t.Errorf("lost %d, truly %d", got, missing)
	}
	c = w.connect("one", c)
	c.tally.Drop("cap", 25000)
	c.tell(func(rc *crossfadev1.RunCounts) { rc.Received = came })
	c.taken()
	c.goes(false)
	if got := w.report("try"); got.GetLost() != 0 {
		t.Errorf("all was told: lost %d", got.GetLost())
	}
}

// TestWhatIsExcludedForItsQueryIsApart: 990 of 1000 are not.
func TestWhatIsExcludedForItsQueryIsApart(t *testing.T) {
	path := func(n int64, excluded string) *crossfadev1.MirrorPath {
		return &crossfadev1.MirrorPath{Method: "GET", Endpoint: "/orders", Count: n, Excluded: excluded}
	}
	both := []*crossfadev1.MirrorPath{path(10, "query has token"), path(990, "")}
	got := mergeSeen(both, both)
	if len(got) != 2 || got[0].GetCount() != 1980 || got[0].GetExcluded() != "" || got[1].GetCount() != 20 || got[1].GetExcluded() == "" {
		t.Errorf("%v", got)
	}
}
