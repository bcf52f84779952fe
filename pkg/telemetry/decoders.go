package telemetry

import (
	"context"
	"runtime"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// maxCalls is how many flushes and load reports of one connection are waited for: an Envoy has one, and sends one of each, then the next.
const maxCalls = 4

// decoders let some messages be decoded at a time; they begin in the order in which they came. The others wait as they came: whole and decoded, a
// message takes several times the memory.
type decoders struct {
	slots chan struct{} // one element for each that is being decoded

	mu    sync.Mutex
	calls map[string]int // that wait or are decoded, by the address of the peer: who calls may give any name, its neighbour's too
}

func (d *decoders) init() {
	d.slots, d.calls = make(chan struct{}, 2*runtime.GOMAXPROCS(0)), map[string]int{}
}

// enterDecoders waits for a slot, which leave gives back.
func (t *Telemetry) enterDecoders(ctx context.Context) (leave func(), err error) {
	d, of := &t.decoders, ""
	if p, ok := peer.FromContext(ctx); ok {
		of = p.Addr.String()
	}
	if !d.call(of) {
		return nil, t.refuse(refusedBusy, status.Errorf(codes.ResourceExhausted, "%d messages of this connection wait already", maxCalls))
	}
	select {
	case d.slots <- struct{}{}:
	default:
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			d.hangUp(of)
			return nil, t.refuse(refusedAbandoned, status.FromContextError(ctx.Err()).Err())
		}
	}
	return func() {
		<-d.slots
		d.hangUp(of)
	}, nil
}

func (d *decoders) call(of string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls[of] == maxCalls {
		return false
	}
	d.calls[of]++
	return true
}

func (d *decoders) hangUp(of string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls[of]--; d.calls[of] == 0 {
		delete(d.calls, of)
	}
}

// waiting is how many messages have no slot yet.
func (d *decoders) waiting() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, calls := range d.calls {
		n += calls
	}
	return max(0, n-len(d.slots)) // of another moment
}
