package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// answered is a change whose answer arrived.
type answered struct {
	service  string
	revision int64
	eks      int32
}

// TestKilledControlPlane kills the control plane with SIGKILL at random points while clients change weights, and starts it again:
// no request fails, every answered change is there, and no half one.
func TestKilledControlPlane(t *testing.T) {
	const kills, services, clients = 20, 8, 4
	w := newWorld(t, "", 2)
	var docs []*crossfadev1.Document
	for i := range services {
		docs = append(docs, w.service(fmt.Sprintf("s%d", i), "http1", 0))
	}
	w.apply(docs...)
	w.ready()
	stop := w.load("s0", loadgen.HTTP1, 400)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	var all []answered
	changes := 0
	for kill := range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for client := range clients {
			r := rand.New(rand.NewPCG(seed+uint64(kill), uint64(client)))
			running.Go(func() {
				for ctx.Err() == nil {
					a, err := w.setSplit(ctx, fmt.Sprintf("s%d", r.IntN(services)), r.Int32N(10001))
					if err != nil {
						return // the server is gone
					}
					mu.Lock()
					all = append(all, a)
					changes++
					mu.Unlock()
				}
			})
		}
		pause(t, time.Duration(100+random.IntN(300))*time.Millisecond)
		w.KillServer()
		cancel()
		running.Wait()
		if err := w.RestartServer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.checkHistory(all)
	noneFailed(t, stop(), 500)
	if changes < kills*5 {
		t.Errorf("only %d changes were answered over %d kills", changes, kills)
	}
	t.Logf("%d changes answered over %d kills", changes, kills)
}

// pause lets real processes run for a while.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func (w *world) setSplit(ctx context.Context, service string, eks int32) (answered, error) {
	resp, err := w.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{
		Service: service, Weights: map[string]int32{"eks": eks},
		Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE, Timeout: durationpb.New(5 * time.Second)},
	})
	return answered{service: service, revision: resp.GetChange().GetRevision(), eks: eks}, err
}

// history is every revision.
func (w *world) history() map[int64]*crossfadev1.Revision {
	w.t.Helper()
	stored := map[int64]*crossfadev1.Revision{}
	token := ""
	for {
		page, err := w.API.ListHistory(w.t.Context(), &crossfadev1.ListHistoryRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range page.GetItems() {
			stored[r.GetRevision()] = r
		}
		if token = page.GetNextPageToken(); token == "" {
			return stored
		}
	}
}

// checkHistory holds what was answered against what is stored.
func (w *world) checkHistory(all []answered) {
	w.t.Helper()
	w.checkAnswered(all, func(r *crossfadev1.Revision) {
		if weights := r.GetAfter().GetService().GetSplit().GetWeights(); weights["ecs"]+weights["eks"] != 10000 {
			w.t.Errorf("revision %d is half a change: %v", r.GetRevision(), weights)
		}
	})
}

// checkAnswered looks for every answered change in a history without gaps, and at each revision.
func (w *world) checkAnswered(all []answered, look func(*crossfadev1.Revision)) {
	w.t.Helper()
	stored := w.history()
	for n := int64(1); n <= int64(len(stored)); n++ {
		if stored[n] == nil {
			w.t.Fatalf("revision %d of %d is missing", n, len(stored))
		}
		look(stored[n])
	}
	for _, a := range all {
		r := stored[a.revision]
		if r == nil || r.GetService() != a.service || r.GetAfter().GetService().GetSplit().GetWeights()["eks"] != a.eks {
			w.t.Errorf("answered %+v, stored %v", a, r)
		}
	}
}
