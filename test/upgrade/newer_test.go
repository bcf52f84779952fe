package upgrade

import (
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
)

// TestWhatANewerVersionStoredIsRefused: a service that says what this version does not know is not served without that. The server names it,
// does not start, and leaves the store as it was.
func TestWhatANewerVersionStoredIsRefused(t *testing.T) {
	w := newWorld(t, today)
	if _, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{w.service("old", 0)}}); err != nil {
		t.Fatal(err)
	}
	doc := w.service("orders", 0)
	doc.GetService().GetOrigins()[1].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 1))
	_, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{doc}})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "origins[1]: has a field that this version does not know (number 900)") {
		t.Errorf("applied: %v", err)
	}
	w.end()

	path := filepath.Join(w.Dir, "data", "store.db")
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Commit(t.Context(), store.Commit{
		Writes: []store.Write{{Key: store.ObjectKey{Kind: "Service", Name: "orders"}, After: doc, Action: "apply"}}, Time: time.Now(), Who: "a newer version",
	})
	if closeErr := s.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	was := sum(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	argv := w.ServerCommand()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("it serves: %v\n%s", err, out)
	}
	for _, want := range []string{`"orders"`, "origins[1]", "a newer version wrote it", "use that version"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if sum(t, path) != was {
		t.Error("the store is not as it was")
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(text)
}
