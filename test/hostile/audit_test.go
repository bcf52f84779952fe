package hostile

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// audit looks at every revision since the last look: none is of a message that was refused.
func (a *attack) audit() {
	a.t.Helper()
	token, last := "", a.seen
	for {
		page, err := a.API.ListHistory(a.t.Context(), &crossfadev1.ListHistoryRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			a.t.Fatal(err)
		}
		for _, r := range page.GetItems() {
			if r.GetRevision() <= a.seen {
				a.seen = last
				return
			}
			last = max(last, r.GetRevision())
			if mark := r.GetReason(); isMark(mark) && !a.granted[mark] {
				a.t.Errorf("%s was refused, and made revision %d: %s of %s %s", mark, r.GetRevision(), r.GetAction(), r.GetKind(), r.GetService())
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			a.seen = last
			return
		}
	}
}

// sameAfterRestart: what is live is what is stored.
func (a *attack) sameAfterRestart() {
	a.t.Helper()
	rollouts, err := a.API.ListRollouts(a.t.Context(), &crossfadev1.ListRolloutsRequest{PageSize: 1000})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, r := range rollouts.GetItems() { // or they would go on
		_, _ = a.API.ActOnRollout(a.t.Context(), &crossfadev1.ActOnRolloutRequest{Name: r.GetName(), Action: "abort"})
	}
	before := a.live()
	a.KillServer()
	if err := a.RestartServer(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	after := a.live()
	if len(before) == 0 || len(before) != len(after) {
		a.t.Fatalf("%d services before a restart, %d after it", len(before), len(after))
	}
	for name, doc := range before {
		if !proto.Equal(doc, after[name]) {
			a.t.Errorf("before a restart: %v\nafter: %v", doc, after[name])
		}
	}
}

// live are the documents of all services.
func (a *attack) live() map[string]*crossfadev1.Document {
	a.t.Helper()
	out := map[string]*crossfadev1.Document{}
	list, err := a.API.List(a.t.Context(), &crossfadev1.ListRequest{PageSize: 1000}, grpc.WaitForReady(true))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, s := range list.GetItems() {
		got, err := a.API.Get(a.t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: s.GetName()})
		if err != nil {
			a.t.Fatal(err)
		}
		out[s.GetName()] = got.GetDocument()
	}
	return out
}
