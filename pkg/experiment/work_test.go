package experiment

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// fakeStream is one of a comparator that says what a test puts into it.
type fakeStream struct {
	grpc.ServerStream
	ctx  context.Context
	says chan *crossfadev1.WorkRequest
	sent chan *crossfadev1.WorkResponse
}

func newFakeStream(ctx context.Context) *fakeStream {
	return &fakeStream{ctx: ctx, says: make(chan *crossfadev1.WorkRequest), sent: make(chan *crossfadev1.WorkResponse)}
}

func (s *fakeStream) Context() context.Context { return s.ctx }

func (s *fakeStream) Recv() (*crossfadev1.WorkRequest, error) {
	select {
	case m := <-s.says:
		return m, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *fakeStream) Send(m *crossfadev1.WorkResponse) error {
	select {
	case s.sent <- m:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// TestOneThatNeverSaysHelloIsLetGo: it holds up nothing, and leaves nothing behind, even if the hello comes at last.
func TestOneThatNeverSaysHelloIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Open(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		s := newFakeStream(ctx)
		start := time.Now()
		if err := d.Work(s); !errors.Is(err, errSilent) || time.Since(start) != helloWithin {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		s.says <- &crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Hello{Hello: &crossfadev1.ComparatorHello{Instance: "late", Address: "127.0.0.1:1"}}}
		cancel() // as gRPC does when the call has returned
		d.work.Wait()
		if len(d.sessions) > 0 || d.streams > 0 {
			t.Errorf("%d sessions, %d streams", len(d.sessions), d.streams)
		}
	})
}

// TestOneThatIsSlowToReadKeepsWhatItHas: others get its share only when its smaller order was sent.
func TestOneThatIsSlowToReadKeepsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Open(Config{})
		doc := document(func(m *crossfadev1.Mirror) { m.Run = &crossfadev1.MirrorRun{Id: "run-1", Started: nowIs()} })
		d.Set([]Mirror{mirrorOf(t, doc)})
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); d.work.Wait() }()
		connect := func(name string) *fakeStream {
			s := newFakeStream(ctx)
			d.work.Go(func() { _ = d.Work(s) })
			s.says <- &crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Hello{Hello: &crossfadev1.ComparatorHello{Instance: name, Address: address(name)}}}
			return s
		}
		share := func(s *fakeStream) float64 { return (<-s.sent).GetRuns()[0].GetMaxRps() }
		slow := connect("slow")
		if got := share(slow); got != 100 {
			t.Errorf("alone it has %g", got)
		}
		quick := connect("quick")
		if got := share(quick); got != 0 {
			t.Errorf("the new one has %g at first", got)
		}
		synctest.Wait()
		d.tick(time.Now())
		if got := share(quick); got != 0 {
			t.Errorf("the new one has %g before the other has less", got)
		}
		if got := share(slow); got != 50 {
			t.Errorf("the old one has %g", got)
		}
		if got := share(quick); got != 50 {
			t.Errorf("the new one has %g", got)
		}
	})
}

// TestStreamsAreBounded: those without a hello too.
func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Open(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		for range maxStreams {
			d.work.Go(func() { _ = d.Work(newFakeStream(ctx)) })
		}
		synctest.Wait()
		if err := d.Work(newFakeStream(ctx)); err == nil || errors.Is(err, errSilent) {
			t.Errorf("one more: %v", err)
		}
		cancel()
		d.work.Wait()
	})
}
