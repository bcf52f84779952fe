package hostile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// told is all that a control plane says of what it was given.
type told struct {
	history   []*crossfadev1.Revision // by number
	documents map[string]*crossfadev1.Document
	splits    map[string]map[string]int32
}

// tell asks for it.
func (w *world) tell(t *testing.T) (out told) {
	t.Helper()
	out = told{documents: map[string]*crossfadev1.Document{}, splits: map[string]map[string]int32{}}
	for token := ""; ; {
		page, err := w.API.ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{PageSize: 1000, PageToken: token}, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetItems() {
			r.Fleet, r.Proof = nil, nil // added when a fleet has it
			out.history = append(out.history, r)
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	slices.Reverse(out.history)
	for _, r := range out.history {
		kind := strings.ToLower(r.GetKind())
		got, err := w.API.Get(t.Context(), &crossfadev1.GetRequest{Kind: kind, Name: r.GetService()})
		if err != nil {
			continue // deleted
		}
		out.documents[kind+" "+r.GetService()] = got.GetDocument()
		if kind == "service" {
			out.splits[r.GetService()] = got.GetStatus().GetSplit()
		}
	}
	return out
}

// differs says in what one falls short of the other, which may know more: what was recorded since.
func (a told) differs(b told) string {
	if len(b.history) < len(a.history) {
		return fmt.Sprintf("%d revisions of %d", len(b.history), len(a.history))
	}
	for i, r := range a.history {
		if !proto.Equal(r, b.history[i]) {
			return fmt.Sprintf("revision %d is %v, was %v", r.GetRevision(), b.history[i], r)
		}
	}
	for name, doc := range a.documents {
		if kind, _, _ := strings.Cut(name, " "); kind != "service" && !proto.Equal(doc, b.documents[name]) {
			return fmt.Sprintf("%s is %v, was %v", name, b.documents[name], doc)
		}
	}
	for name, split := range a.splits {
		if !maps.Equal(split, b.splits[name]) {
			return fmt.Sprintf("the split of %s is %v, was %v", name, b.splits[name], split)
		}
	}
	return ""
}
