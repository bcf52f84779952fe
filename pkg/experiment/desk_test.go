package experiment

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestOrdersGoOutAndCountsComeIn is a run from its start to its end.
func TestOrdersGoOutAndCountsComeIn(t *testing.T) {
	w := newWorld(t, t.TempDir(), func(c *Config) { c.Identities = map[string]Identity{"tester": {"x-test", "s3cret"}} })
	w.proxies = map[string]string{"edge-1": "127.0.0.1:9000"}
	doc := w.run(func(m *crossfadev1.Mirror) {
		m.Learn, m.Identity, m.Control = durationpb.New(time.Minute), "tester", ""
	})
	m := mirrorOf(t, doc)
	resolved := *m.Policy
	resolved.Control = "ecs"
	m.Policy = &resolved
	w.desk.Set([]Mirror{m})
	w.desk.tick(w.time())

	c := w.connect("one", nil)
	o, _ := c.last()
	if o.GetProxies().GetAddresses()["edge-1"] != "127.0.0.1:9000" || o.GetLease().AsDuration() != time.Minute {
		t.Errorf("orders %v", o)
	}
	c.share("try", 100)
	w.desk.tick(w.time())
	w.await(func() error {
		if o, _ := c.last(); o.GetProxies() != nil {
			return fmt.Errorf("proxies are told again: %v", o)
		}
		return nil
	})
	o, _ = c.last()
	r := o.GetRuns()[0]
	if r.GetMirror().GetControl() != "ecs" || doc.GetControl() != "" || len(r.GetKey()) != keyBytes || !r.GetLearning() || r.GetIdentityHeader() != "x-test" || r.GetIdentityValue() != "s3cret" {
		t.Errorf("order %v", r)
	}
	if got := w.report("try"); got.GetState() != stateLearning || got.GetVerdict() != "Inconclusive" || got.GetWhy()[0].GetCode() != "learning" {
		t.Errorf("%v", got)
	}
	w.pass(time.Minute)
	w.await(func() error {
		if o, _ := c.last(); o.GetRuns()[0].GetLearning() {
			return fmt.Errorf("it is still learning")
		}
		return nil
	})
	changed := w.desk.Changed()
	c.count(100, 0)
	c.tell(func(rc *crossfadev1.RunCounts) {
		rc.AskedControl, rc.AskedCandidate = 120, 100
		rc.Seen = []*crossfadev1.MirrorPath{{Method: "GET", Endpoint: "/items/{id}", Count: 3}}
	})
	c.taken()
	w.pass(time.Second)
	select {
	case <-changed:
	default:
		t.Error("nobody was told of a change")
	}
	c.count(100, 0)
	c.tell(func(rc *crossfadev1.RunCounts) { rc.AskedControl, rc.AskedCandidate = 240, 200 })
	c.taken()
	got := w.report("try")
	exact(t, got)
	if got.GetCompared() != 200 || got.GetVerdict() != "Pass" || got.GetAskedRps()["ecs"] != 120 || got.GetAskedRps()["eks"] != 100 || len(got.GetSeen()) != 1 || got.GetComparators() != 1 {
		t.Errorf("%v", got)
	}
	list := w.desk.Statuses("")
	if len(list) != 1 || list[0].GetCompared() != 200 || list[0].GetState() != stateRunning || list[0].GetRevision() != 7 || len(w.desk.Statuses("other")) != 0 {
		t.Errorf("%v", list)
	}

	m.Doc = policy.EndMirror(doc, w.time(), "stopped", "stopped by somebody")
	w.desk.Set([]Mirror{m})
	c.idle()
	c.count(5, 0)
	c.tell(nil)
	c.taken()
	w.await(func() error {
		w.desk.save(w.time())
		w.desk.tick(w.time())
		if o, _ := c.last(); o.GetSequence() != c.sequence {
			return fmt.Errorf("acknowledged %d of %d", o.GetSequence(), c.sequence)
		}
		return nil
	})
	if got := w.report("try"); got.GetCompared() != 205 || got.GetState() != stateEnded || got.GetRun().GetWhy() != "stopped" || got.GetMaxRps() != 100 {
		t.Errorf("%v", got)
	}
}

// TestCountsAreNotTakenTwice: replays, and messages that come late, change nothing; an empty tally is as before.
func TestCountsAreNotTakenTwice(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(20, 0)
	c.tell(nil)
	old := c.runCounts(nil)
	c.count(10, 0)
	c.tell(nil)
	c.say(counts(1, old))
	c.say(counts(2, old))
	c.sequence++
	c.say(counts(c.sequence, &crossfadev1.RunCounts{Mirror: "try", Run: "run-1"}))
	c.taken()
	if got := w.report("try"); got.GetCompared() != 30 {
		t.Errorf("compared %d", got.GetCompared())
	}
	c.say(counts(9, &crossfadev1.RunCounts{Mirror: "other", Run: "run-1"}, &crossfadev1.RunCounts{Mirror: "try", Run: "run-0", Tally: []byte("x")}))
	c.sequence = 9
	c.taken()
	if got := w.report("try"); got.GetCompared() != 30 {
		t.Errorf("compared %d", got.GetCompared())
	}
}

// TestWhoGoesWithoutAWordIsCountedAsLost: until it comes back.
func TestWhoGoesWithoutAWordIsCountedAsLost(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(nil)
	one, two := w.connect("one", nil), w.connect("two", nil)
	one.share("try", 50)
	two.share("try", 50)
	for _, c := range []*comparator{one, two} {
		c.count(20, 0)
		c.tell(func(rc *crossfadev1.RunCounts) { rc.InFlight = 7 })
		c.taken()
	}
	w.pass(2 * time.Second)
	one.goes(false)
	if got := w.report("try"); got.GetLost() != 7+100 || got.GetCompared() != 40 || got.GetComparators() != 1 {
		t.Errorf("lost %d, compared %d", got.GetLost(), got.GetCompared())
	}
	w.pass(time.Second)
	two.share("try", 50) // the other may still be asking
	one = w.connect("one", one)
	if got := w.report("try"); got.GetLost() != 0 {
		t.Errorf("lost %d", got.GetLost())
	}
	one.count(1, 0)
	one.tell(nil)
	one.taken()
	one.goes(true)
	two.share("try", 100)
	if got := w.report("try"); got.GetLost() != 0 || got.GetCompared() != 41 {
		t.Errorf("lost %d, compared %d", got.GetLost(), got.GetCompared())
	}
	two.goes(false)
	three := w.connect("three", nil)
	three.share("try", 0) // the one that is gone may still take all of it
	w.pass(time.Minute)
	three.share("try", 100)
}

func TestBadHellosAreRefused(t *testing.T) {
	w := newWorld(t, "", nil)
	for _, h := range []*crossfadev1.ComparatorHello{
		nil,
		{},
		{Instance: "a"},
		{Instance: "a", Address: "host:80"},
		{Instance: "a", Address: "127.0.0.1"},
		{Instance: "a", Address: "127.0.0.1:0"},
		{Instance: "a", Address: "0.0.0.0:80"},
		{Instance: "a", Address: "203.0.113.9:80"},
		{Instance: "a", Address: "[2001:db8::1]:80"},
		{Instance: "a", Address: "169.254.169.254:80"},
		{Instance: "", Address: "127.0.0.1:80"},
		{Instance: "a b", Address: "127.0.0.1:80"},
		{Instance: strings.Repeat("a", 65), Address: "127.0.0.1:80"},
	} {
		s := &session{wake: make(chan struct{}, 1), ended: make(chan struct{})}
		if err := w.desk.greet(s, h); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", h, err)
		}
	}
}

// TestRunEndsWithStreamsOpen: Run returns when its context ends, and streams end so that comparators connect elsewhere.
func TestRunEndsWithStreamsOpen(t *testing.T) {
	w := newWorld(t, t.TempDir(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); w.desk.Run(ctx) }()
	w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	cancel()
	<-ran
	w.await(func() error {
		if _, err := c.last(); status.Code(err) != codes.Unavailable {
			return fmt.Errorf("the stream: %w", err)
		}
		return nil
	})
	if err := w.desk.Work(newFakeStream(t.Context())); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}
