package comparator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestMoreRunsThanTheServerTakes are not worked on: a message with all of them would be refused, and with it what is known of the others.
func TestMoreRunsThanTheServerTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), nil)
	w.server.order(func(o *crossfadev1.WorkResponse) {
		for i := range policy.MaxComparatorRuns + 50 {
			doc := document()
			doc.Run.Id = fmt.Sprint("more", i)
			o.Runs = append(o.Runs, &crossfadev1.RunOrder{Mirror: doc, Key: hashKey})
		}
	})
	runs := func() int {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return w.server.runs
	}
	w.await("for the runs to be known", func() bool { return runs() >= policy.MaxComparatorRuns })
	w.get("/a")
	w.awaitCounted(1)
	if n := runs(); n != policy.MaxComparatorRuns {
		t.Errorf("%d runs", n)
	}
}

// TestTextsThatTheLinkCannotCarry must not keep a whole message from the server.
func TestTextsThatTheLinkCannotCarry(t *testing.T) {
	long := "/" + strings.Repeat("é", policy.MaxSeenText)
	g := newTestGate(t, func(m *policy.Mirror) { m.Exclude = []string{long[:len(long)-1]} })
	g.learning = true
	for _, path := range []string{"/\xff\xfe/a", long, long[:len(long)-1] + "/a"} {
		ask1(g, path, "", epoch)
	}
	for _, p := range g.listed() {
		for _, s := range []string{p.GetEndpoint(), p.GetExcluded()} {
			if len(s) > policy.MaxSeenText || !utf8.ValidString(s) {
				t.Errorf("%d bytes: %.40q", len(s), s)
			}
		}
		if _, err := proto.Marshal(p); err != nil {
			t.Error(err)
		}
	}
}

// TestIdentitiesAreSharedByInstances: each is one comparator's to ask for, so that no number of them asks more often.
func TestIdentitiesAreSharedByInstances(t *testing.T) {
	const instances, users = 3, 300
	asked := map[string]int{}
	shares := [instances]int{}
	for i := range instances {
		g := newTestGate(t, func(m *policy.Mirror) { m.Keep = []string{"cookie"} })
		g.identities.divide(instances, int32(i))
		for u := range users {
			cookie := fmt.Sprint("user", u)
			q := &question{method: "GET", path: "/a", headers: http.Header{"Cookie": {cookie}}, sent: epoch}
			switch got := g.admit(q, epoch); got {
			case "":
				asked[cookie]++
				shares[i]++
			case dropIdentity:
			default:
				t.Fatal(got)
			}
		}
		if got := g.admit(&question{method: "GET", path: "/a", sent: epoch}, epoch); got != "" {
			t.Errorf("without an identity: %s", got)
		}
	}
	for u, n := range asked {
		if n != 1 {
			t.Errorf("%s is asked for by %d", u, n)
		}
	}
	if len(asked) != users || min(shares[0], shares[1], shares[2]) < users/6 {
		t.Errorf("%d of %d are asked for, by %v", len(asked), users, shares)
	}
}

// TestOrdersDivideIdentities: the share is that of the last order.
func TestOrdersDivideIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	doc := document()
	doc.KeepHeaders = []string{"cookie"}
	w.run(doc, func(o *crossfadev1.RunOrder) { o.Instances, o.Index = 2, 1 })
	for u := range 40 {
		r := w.copyOf("GET", "/a", "")
		r.Header.Set("cookie", fmt.Sprint("user", u))
		w.send(r)
	}
	if r := w.awaitCounted(40); r.Compared < 5 || r.Dropped[dropIdentity] < 5 {
		t.Errorf("compared %d, %v", r.Compared, r.Dropped)
	}
}

// TestCopiesThatCameAreTold, those before the order and those that are asked too, so that the server knows what is lost with a comparator.
func TestCopiesThatCameAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), http.HandlerFunc(hangs), Limits{Timeout: time.Minute, Spread: time.Minute})
	w.doc, w.key = document(), "m/r1"
	w.get("/early")
	w.run(document(), func(o *crossfadev1.RunOrder) { o.Mirror.Duration = durationpb.New(time.Hour) })
	for range 3 {
		w.get("/a")
	}
	w.get("/logout")
	w.await("to be told", func() bool {
		c, _ := w.server.counts(w.key)
		return c.GetReceived() == 5 && c.GetInFlight() == 3
	})
	if r := w.awaitCounted(2); r.Dropped[dropLease] != 1 || r.Dropped[dropExcluded] != 1 {
		t.Errorf("%v", r.Dropped)
	}
}
