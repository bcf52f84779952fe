package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func service(name string) store.ObjectKey { return store.ObjectKey{Kind: "Service", Name: name} }

// document makes a document of a service of about size bytes, different for each n.
func document(name string, n, size int) *crossfadev1.Document {
	s := &crossfadev1.Service{Name: name, Hosts: []string{strings.Repeat(fmt.Sprintf("%04d-", n), size/5+1)}}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}}
}

func write(name string, n, size int) store.Write {
	return store.Write{Key: service(name), After: document(name, n, size), Expect: store.AnyRevision, Action: "apply"}
}

func commitOf(ws ...store.Write) store.Commit { return store.Commit{Writes: ws, Time: now, Who: "ann"} }

func mustCommit(t testing.TB, s *Store, c store.Commit) []*crossfadev1.Revision {
	t.Helper()
	rs, _, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// truth is everything that a store can say.
type truth struct {
	snap    *store.Snapshot
	history []*crossfadev1.Revision
	objects [][]*crossfadev1.Revision
	replay  []*crossfadev1.Revision
}

// objectNames are the objects of filled stores.
const objectNames = 12

func objectName(i int) string { return fmt.Sprintf("service-%02d", i) }

// fill makes a store with inner pages, large values, free pages, deletes, annotations and idempotency keys.
func fill(t testing.TB, s *Store) {
	t.Helper()
	for n := range 120 {
		c := commitOf(write(objectName(n%objectNames), n, (n%7)*(n%11)*50))
		if n > objectNames && n%10 == 9 {
			c.Writes[0].After = nil
		}
		if n%4 == 0 {
			c.IdempotencyKey, c.RequestDigest = fmt.Sprintf("key-%d", n), []byte("digest")
		}
		rs := mustCommit(t, s, c)
		if n%5 == 0 {
			if err := s.Annotate(t.Context(), rs[0].GetRevision(), nil, &crossfadev1.Proof{State: "proven"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// tell asks a store everything. An error is the first one.
func tell(t testing.TB, s *Store) (tr truth, err error) {
	ctx := t.Context()
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	var e error
	tr.snap, e = s.Load(ctx)
	keep(e)
	tr.history, e = s.History(ctx, store.HistoryQuery{Limit: 1 << 20})
	keep(e)
	for i := range objectNames {
		rs, e := s.History(ctx, store.HistoryQuery{Key: service(objectName(i)), Limit: 1 << 20})
		keep(e)
		tr.objects = append(tr.objects, rs)
	}
	c := commitOf(write(objectName(0), 0, 0))
	c.IdempotencyKey, c.RequestDigest = "key-0", []byte("digest")
	rs, replayed, e := s.Commit(ctx, c)
	if e == nil && !replayed {
		e = errors.New("the idempotency key is lost")
	}
	keep(e)
	tr.replay = rs
	return tr, err
}

// same says how two truths differ, empty if they do not.
func (a truth) same(b truth) string {
	if a.snap.Revision != b.snap.Revision || len(a.snap.Objects) != len(b.snap.Objects) {
		return "the snapshot differs"
	}
	for i, o := range a.snap.Objects {
		p := b.snap.Objects[i]
		if o.Key != p.Key || o.Revision != p.Revision || !proto.Equal(o.Document, p.Document) || !proto.Equal(o.Record, p.Record) {
			return "an object differs"
		}
	}
	all := append([][]*crossfadev1.Revision{a.history, a.replay}, a.objects...)
	other := append([][]*crossfadev1.Revision{b.history, b.replay}, b.objects...)
	for i := range all {
		if len(all[i]) != len(other[i]) {
			return "a history differs in length"
		}
		for j := range all[i] {
			if !proto.Equal(all[i][j], other[i][j]) {
				return "a revision differs"
			}
		}
	}
	return ""
}

// filled returns the bytes of a filled store, and what it says.
func filled(t testing.TB) ([]byte, truth) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	fill(t, s)
	tr, err := tell(t, s)
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, tr
}
