package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/backup"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

func (p *process) admin() crossfadev1.AdminServiceClient {
	p.t.Helper()
	return crossfadev1.NewAdminServiceClient(p.dial(p.ready.API))
}

func (p *process) dial(address string, more ...grpc.DialOption) *grpc.ClientConn {
	p.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, append(more, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// backup takes a backup into a file, and returns its name and what it says that it is of.
func (p *process) backup() (string, *crossfadev1.BackupBegin) {
	p.t.Helper()
	stream, err := p.admin().Backup(p.t.Context(), &crossfadev1.BackupRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	var data []byte
	var begin *crossfadev1.BackupBegin
	var end *crossfadev1.BackupEnd
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.t.Fatal(err)
		}
		data = append(data, m.GetData()...)
		if b := m.GetBegin(); b != nil {
			begin = b
		}
		if e := m.GetEnd(); e != nil {
			end = e
		}
	}
	if begin == nil || end.GetBytes() != int64(len(data)) {
		p.t.Fatalf("%d bytes, begin %v, end %v", len(data), begin, end)
	}
	path := filepath.Join(p.t.TempDir(), "backup")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path, begin
}

// restored makes a data directory of a backup.
func restored(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	r := command(t, nil, "restore", "--from", from, "--data-dir", dir)
	if code := r.runs(); code != exitOK {
		t.Fatalf("restore exits with %d: %s", code, r.stderr)
	}
	return dir
}

func splitOf(eks int32) *crossfadev1.SetSplitRequest {
	return &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"ecs": 10_000 - eks, "eks": eks}}
}

func apply(t *testing.T, p *process, docs ...*crossfadev1.Document) {
	t.Helper()
	if _, err := p.client().Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		t.Fatal(err)
	}
}

// TestABackupUnderChangesIsOfOneRevision: while several callers change things, what is restored is what the server had at the revision that
// the backup is of.
func TestABackupUnderChangesIsOfOneRevision(t *testing.T) {
	p := launch(t, filepath.Join(t.TempDir(), "data"))
	apply(t, p, orders())
	ctx, cancel := context.WithCancel(t.Context())
	var changes atomic.Int64
	done := make(chan error, 4)
	for i := range 4 {
		go func() {
			for n := int32(0); ctx.Err() == nil; n++ {
				r := splitOf((n*100 + int32(i)) % 10_000)
				r.Options = &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE, IdempotencyKey: fmt.Sprint(i, " ", n)}
				if _, err := p.client().SetSplit(ctx, r); err != nil && ctx.Err() == nil {
					done <- err
					return
				}
				changes.Add(1)
			}
			done <- nil
		}()
	}
	p.await("changes", func() bool { return changes.Load() > 200 })
	type made struct {
		path  string
		begin *crossfadev1.BackupBegin
	}
	var all []made
	for range 3 {
		path, begin := p.backup()
		all = append(all, made{path, begin})
	}
	cancel()
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range all {
		want, err := p.client().ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{PageSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		at := m.begin.GetRevision()
		q := launch(t, restored(t, m.path))
		have, err := q.client().ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{PageSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		newest := have.GetItems()[0]
		if newest.GetRevision() != at {
			t.Fatalf("restored to revision %d, want %d", newest.GetRevision(), at)
		}
		byNumber := map[int64]*crossfadev1.Revision{}
		for _, r := range want.GetItems() {
			byNumber[r.GetRevision()] = r
		}
		for _, r := range have.GetItems() {
			if w := byNumber[r.GetRevision()]; w != nil && w.GetAfter().String() != r.GetAfter().String() {
				t.Fatalf("revision %d is %v, want %v", r.GetRevision(), r, w)
			}
		}
		got, err := q.client().Get(t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: "orders"})
		if err != nil || got.GetDocument().String() != newest.GetAfter().String() {
			t.Fatalf("live is %v (%v), want %v", got.GetDocument(), err, newest.GetAfter())
		}
		q.signal(syscall.SIGKILL)
	}
}

// TestProxiesWithNewerChangesAreHeldAfterARestore: nothing moves traffic until somebody decides, and the list of proxies says so.
func TestProxiesWithNewerChangesAreHeldAfterARestore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	p := launch(t, filepath.Join(t.TempDir(), "data"))
	apply(t, p, orders())
	c := deltaclient.New(deltaclient.Config{ID: "p1", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	serveTo := func(p *process) (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = c.Run(ctx, p.dial(p.ready.XDS, deltaclient.DialOptions()...)) }()
		return func() { cancel(); <-ended }
	}
	stop := serveTo(p)
	state := func(p *process) *crossfadev1.Proxy {
		got, err := p.client().ListProxies(ctx, &crossfadev1.ListProxiesRequest{})
		if err != nil || len(got.GetItems()) != 1 {
			return nil
		}
		return got.GetItems()[0]
	}
	p.await("the proxy", func() bool { return state(p).GetState() == "ok" })
	from, _ := p.backup()
	if _, err := p.client().SetSplit(ctx, splitOf(5000)); err != nil {
		t.Fatal(err)
	}
	stop()
	p.signal(syscall.SIGTERM)
	p.exit()
	before := levers(c)

	p = launch(t, restored(t, from))
	defer serveTo(p)()
	p.await("the proxy to be held", func() bool { return state(p).GetState() == "held" })
	if after := levers(c); after != before {
		t.Fatalf("what moves traffic changed from\n%s\nto\n%s", before, after)
	}
	if d := state(p).GetDetail(); d == "" {
		t.Error("the list of proxies does not say why it is held")
	}
	change, err := p.client().SetSplit(ctx, splitOf(2000)) // somebody decides
	if err != nil {
		t.Fatal(err)
	}
	if f := change.GetChange().GetFleet(); f.GetAcked() != 1 {
		t.Fatalf("a decision did not reach the proxy: %v", f)
	}
	p.await("the proxy to be let go", func() bool { return state(p).GetState() == "ok" })
	if levers(c) == before {
		t.Error("the decision changed nothing at the proxy")
	}
}

// levers are the versions of what moves traffic at a proxy.
func levers(c *deltaclient.Client) string {
	held := c.Held("type.googleapis.com/envoy.service.runtime.v3.Runtime")
	delete(held, translate.ReadyLayer) // whether it is ready moves nothing
	return fmt.Sprint(held)
}

// TestARollbackInTheJournalIsInABackup: it is live, and not in the store yet.
func TestARollbackInTheJournalIsInABackup(t *testing.T) {
	var file strings.Builder
	w, err := backup.NewWriter(&file, backup.Header{Made: time.Now(), Version: "v"})
	for _, err2 := range []error{err, w.Journal([]byte("one")), w.Journal([]byte("two")), w.Item(store.Item{Head: &store.Head{}}), w.End()} {
		if err2 != nil {
			t.Fatal(err2)
		}
	}
	from := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(from, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := restored(t, from)
	j, err := journal.Open(filepath.Join(dir, journalFile))
	if err != nil {
		t.Fatal(err)
	}
	pending := j.Pending()
	if len(pending) != 2 || string(pending[0].Data) != "one" || string(pending[1].Data) != "two" {
		t.Fatalf("the journal has %v", pending)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r := command(t, nil, "check", "--data-dir", dir)
	if code := r.runs(); code != exitOK || !strings.Contains(r.stdout.String(), "2 rollbacks not recorded") {
		t.Fatalf("check exits with %d and says %s%s", code, r.stdout, r.stderr)
	}
}
