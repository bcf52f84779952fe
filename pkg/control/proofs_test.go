package control_test

import (
	"context"
	"path/filepath"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// Of a new service no origin has had a request: its first apply does not speak of proof, unless that is what it waits for.
func TestProofOfANewService(t *testing.T) {
	for _, wait := range []crossfadev1.Wait{crossfadev1.Wait_WAIT_ACKED, crossfadev1.Wait_WAIT_PROVEN} {
		t.Run(wait.String(), func(t *testing.T) {
			s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			c := control.New(control.Config{Store: s, Fleets: xds.NewServer(xds.Options{}), Telemetry: telemetry.New(telemetry.Options{})})
			defer c.Close()
			if err := c.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			apply := func(ctx context.Context, eks int32, wait crossfadev1.Wait) *crossfadev1.Proof {
				changes, err := c.Apply(ctx, []*crossfadev1.Document{orders(eks)}, control.Options{Who: "ann", Wait: wait})
				if err != nil {
					t.Fatal(err)
				}
				return changes[0].GetProof()
			}
			if p := apply(t.Context(), 0, wait); (p != nil) != (wait == crossfadev1.Wait_WAIT_PROVEN) {
				t.Errorf("a new service with %v: proof %v", wait, p)
			}
			apply(t.Context(), 1000, wait)
			if p := apply(t.Context(), 0, wait); p == nil {
				t.Errorf("eks left with %v: no proof", wait)
			}
		})
	}
}
