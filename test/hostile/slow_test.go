package hostile

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// stuck is a connection that stops reading when it is told to.
type stuck struct {
	net.Conn
	hold chan struct{} // closed: read nothing more
	end  chan struct{}
}

func (s *stuck) Read(b []byte) (int, error) {
	select {
	case <-s.hold:
		<-s.end
		return 0, net.ErrClosed
	default:
		return s.Conn.Read(b)
	}
}

func (s *stuck) Close() error {
	select {
	case <-s.end:
	default:
		close(s.end)
	}
	return s.Conn.Close()
}

// TestSlowReaders: proxies and watchers that stop reading while a thousand changes happen. Nobody waits for them, and what is kept for them does
// not grow.
func TestSlowReaders(t *testing.T) {
	together(t)
	w := newWorld(t, nil)
	w.proxy("good", "default")
	docs := make([]*crossfadev1.Document, 0, 60)
	for i := range 60 {
		docs = append(docs, document(fmt.Sprintf("s%02d", i), 10002, 0))
	}
	w.apply(docs...)
	hold := make(chan struct{})
	dialer := grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return &stuck{c, hold, make(chan struct{})}, err
	})
	deaf := 20
	for i := range deaf { // one half of them does not read its stream, the other not even its connection
		var options []grpc.DialOption
		if i%2 == 0 {
			options = []grpc.DialOption{dialer}
		} else {
			options = []grpc.DialOption{grpc.WithInitialWindowSize(64 << 10), grpc.WithInitialConnWindowSize(64 << 10)}
		}
		s := openADS(t, dial(t, w.Server.XDS, options...))
		defer s.end()
		s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf(fmt.Sprintf("deaf-%d", i), "default"), TypeUrl: deltaclient.Cluster})
		s.hear()
		s.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: deltaclient.Runtime, ResourceNamesSubscribe: translate.LayerNames()})
	}
	watches := w.watchers(t, 100)
	close(hold)
	before, _ := w.memory()
	slowest := time.Duration(0)
	changes := either(300, 1000)
	for i := range changes {
		began := time.Now()
		_, err := w.API.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{
			Service: fmt.Sprintf("s%02d", i%60), Weights: map[string]int32{"eks": int32(1 + i)},
			Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE, Reason: strings.Repeat("because ", 100)},
		})
		if err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(began))
		_ = poll.Pause(t.Context(), 15*time.Millisecond)
	}
	now, peak := w.memory()
	t.Logf("%d changes beside %d proxies and 100 watchers that do not read: the slowest took %v; memory %d MiB before, %d after, %d at most", changes, deaf, slowest.Round(time.Millisecond), before, now, peak)
	if now > before+200 {
		t.Errorf("memory grew from %d to %d MiB", before, now)
	}
	if slowest > time.Duration(either(30, 3))*time.Second {
		t.Errorf("a change took %v", slowest)
	}
	w.await(t, "the watchers to be cut off", func() bool { return strings.Count(w.log.String(), "a watcher was cut off") >= len(watches) })
	cut := 0
	for _, s := range watches {
		if err := drain(s); status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "watch") {
			cut++
		} else {
			t.Errorf("a watcher that did not read: %v", err)
		}
	}
	t.Logf("%d of %d watchers were told that they were too slow", cut, len(watches))
	w.goodHasAll(t)
}

// watchers opens watches that read the first event and then nothing, each with as little room as HTTP/2 gives.
func (w *world) watchers(t *testing.T, n int) []grpc.ServerStreamingClient[crossfadev1.WatchResponse] {
	t.Helper()
	out := make([]grpc.ServerStreamingClient[crossfadev1.WatchResponse], n)
	for i := range out {
		small := []grpc.DialOption{grpc.WithInitialWindowSize(64 << 10), grpc.WithInitialConnWindowSize(64 << 10)} // said, it does not grow
		s, err := crossfadev1.NewCrossfadeServiceClient(dial(t, w.Server.API, small...)).Watch(t.Context(), &crossfadev1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		out[i] = s
	}
	return out
}

// drain reads what a watch had for who did not read, to its end.
func drain(s grpc.ServerStreamingClient[crossfadev1.WatchResponse]) error {
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}

// goodHasAll waits until the proxy that reads has everything, and nobody else held it up.
func (w *world) goodHasAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := poll.Until(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		got, err := w.API.ListProxies(ctx, &crossfadev1.ListProxiesRequest{PageSize: 1000})
		if err != nil {
			return err
		}
		for _, p := range got.GetItems() {
			if p.GetProxy() == "good" && p.GetState() == "ok" {
				return nil
			}
		}
		return fmt.Errorf("%v", got)
	})
	if err != nil {
		t.Error(err)
	}
}
