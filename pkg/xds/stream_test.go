package xds

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// reader is a proxy's end of an outbox: it reads when it is let.
type reader struct {
	mu      sync.Mutex
	let     chan error
	got     []string
	sending atomic.Int32
}

func (r *reader) send(m any) error {
	if r.sending.Add(1) > 1 {
		return errors.New("two at once")
	}
	defer r.sending.Add(-1)
	if err := <-r.let; err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, m.(*response).nonce)
	return nil
}

func newOutbox() (*outbox, *reader) {
	r := &reader{let: make(chan error)}
	o := &outbox{send: r.send}
	o.idle.L = &o.mu
	return o, r
}

func TestOutboxSendsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, r := newOutbox()
		for i := range 3 {
			o.put(&response{nonce: fmt.Sprint(i)})
		}
		go func() {
			for range 4 {
				r.let <- nil
			}
		}()
		o.finish()
		o.put(&response{nonce: "3"}) // after it was idle
		o.finish()
		if want := []string{"0", "1", "2", "3"}; !slices.Equal(r.got, want) {
			t.Errorf("sent %q, want %q", r.got, want)
		}
		o.finish() // of nothing
	})
}

func TestOutboxOfALostStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, r := newOutbox()
		o.put(&response{nonce: "0"})
		o.put(&response{nonce: "1"})
		r.let <- errors.New("gone")
		o.finish()
		o.put(&response{nonce: "2"})
		synctest.Wait()
		if o.busy || len(o.queue) > 0 || len(r.got) > 0 {
			t.Errorf("busy %t, %d wait, sent %q", o.busy, len(o.queue), r.got)
		}
	})
}

// TestADeafProxyDoesNotFillTheMemory: what is due to a proxy that reads nothing does not grow by what it says, whatever it guesses.
func TestADeafProxyDoesNotFillTheMemory(t *testing.T) {
	s := newSession(NewServer(Options{}), "?", time.Now())
	stuck := make(chan struct{})
	s.out.send = func(any) error { <-stuck; return io.ErrClosedPipe }
	defer close(stuck)
	if err := s.take(request(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		for _, nonce := range []string{"", "x", fmt.Sprint(i), fmt.Sprint("-", i)} {
			for _, typeURL := range append([]string{resource.SecretType}, kindURLs[:]...) {
				names := []string{fmt.Sprint("a", i), "file:/a.pem:/b.pem"}
				if err := s.take(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce, ResourceNamesSubscribe: names}); err != nil {
					t.Fatal(err)
				}
				if err := s.take(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce, ResourceNamesUnsubscribe: names}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if n := len(s.out.queue); n == 0 || n > int(numKinds)+1 {
		t.Errorf("%d responses wait", n)
	}
}

// TestNothingIsLeftOfARequest: the next one may be a long time coming.
func TestNothingIsLeftOfARequest(t *testing.T) {
	s := newSession(NewServer(Options{}), "?", time.Now())
	s.out.send = func(any) error { return nil }
	requests := []*discovery.DeltaDiscoveryRequest{
		request(1), {TypeUrl: "unserved", ResourceNamesSubscribe: []string{"a"}}, {TypeUrl: resource.SecretType, ResourceNamesUnsubscribe: []string{"a"}},
	}
	err := s.serve(func(m any) error {
		r := m.(*discovery.DeltaDiscoveryRequest)
		if proto.Size(r) > 0 {
			t.Errorf("left %v", r)
		}
		if len(requests) == 0 {
			return io.EOF
		}
		proto.Merge(r, requests[0])
		requests = requests[1:]
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.end()
}
