package xds

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// DeltaAggregatedResources serves one stream of one proxy.
func (s *Server) DeltaAggregatedResources(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	remote := "?"
	if p, ok := peer.FromContext(stream.Context()); ok {
		remote = p.Addr.String()
	}
	sess := newSession(s, remote, s.now())
	sess.ctx, sess.out.send = stream.Context(), stream.SendMsg
	err := sess.serve(stream.RecvMsg)
	sess.end()
	if sess.proxy != nil {
		s.log.Info("proxy disconnected", "proxy", sess.proxy.id, "fleet", sess.fleet.name, "remote", remote, "error", err)
		if s.onConnect != nil {
			s.onConnect(sess.fleet.name, sess.proxy.id, false)
		}
	}
	return err
}

// serve takes the requests of the stream until it ends.
func (s *session) serve(receive func(any) error) error {
	req := &discovery.DeltaDiscoveryRequest{}
	for {
		switch err := receive(req); {
		case errors.Is(err, io.EOF): // it says nothing more, and may still listen
			s.out.finish()
			return nil
		case err != nil && s.ctx.Err() != nil:
			return nil // it has hung up
		case err != nil:
			return err
		}
		if err := s.take(req); err != nil {
			return err
		}
		req.Reset() // the next may be a long time coming
	}
}

// take takes a request: the first one, which says who is asking, a change of subscription, an acknowledgement or a refusal.
func (s *session) take(req *discovery.DeltaDiscoveryRequest) error {
	if err := s.bound(req); err != nil {
		return err
	}
	if s.proxy == nil {
		if err := s.server.identify(s, req.GetNode()); err != nil {
			return err
		}
	}
	k, served := kindByURL[req.GetTypeUrl()]
	switch {
	case served:
		s.asked(k, req)
	case req.GetTypeUrl() == resource.SecretType:
		s.askedForSecrets(req)
	case req.GetTypeUrl() == "":
		return status.Error(codes.InvalidArgument, "a request names no type of resource: over ADS a type URL is needed")
	}
	return nil // another type stays unanswered
}

// asked takes a request for a kind, and sends what is due.
func (s *session) asked(k kind, req *discovery.DeltaDiscoveryRequest) {
	s.mu.Lock()
	state := &s.kinds[k]
	state.at = nil
	first := s.subscribed(k, req)
	if sent := state.sent; sent != nil && sent.nonce == req.GetResponseNonce() {
		state.sent = nil
		if k == virtualHosts {
			s.news.rebuilt = true
			s.fleet.turns.over(s)
		}
		if req.GetErrorDetail() == nil {
			s.acknowledged(k, sent)
		} else {
			s.refused(k, sent, req.GetErrorDetail().GetMessage())
		}
		*sent = sending{} // it has tables that nobody else may have any more
	}
	if k == virtualHosts && first && state.resumed {
		s.findStale()
	}
	n := s.proceed()
	s.mu.Unlock()
	s.tell(n)
}

// nextNonce is that of a response to come. Nobody guesses it: who answers has read the response, so what waits to be read stays bounded. The session's
// lock is held.
func (s *session) nextNonce() string {
	s.nonces++
	return s.nonce + strconv.FormatInt(s.nonces, 10)
}

func newNoncePrefix() string { return strconv.FormatUint(rand.Uint64(), 36) + "-" }

// end forgets the session; its proxy stays known.
func (s *session) end() {
	s.mu.Lock()
	s.ended = true
	fleet := s.fleet
	s.mu.Unlock()
	if fleet != nil {
		fleet.remove(s)
	}
}

// outbox sends the responses of a stream in order. It has a goroutine only while there is something to send: nearly all streams are quiet nearly always, and
// a goroutine that waits has a stack of its own. What waits in it is one response of each kind at most, and one of secrets.
type outbox struct {
	send func(any) error // blocks while the proxy reads nothing

	mu     sync.Mutex
	queue  []*response // what is sent, and from first on what waits
	first  int
	busy   bool
	failed bool // the stream is gone
	idle   sync.Cond
}

func (o *outbox) put(r *response) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed {
		return
	}
	o.queue = append(slices.Delete(o.queue, 0, o.first), r)
	o.first = 0
	if !o.busy {
		o.busy = true
		go o.drain()
	}
}

func (o *outbox) drain() {
	for r := o.next(nil); r != nil; {
		r = o.next(o.send(r))
	}
}

// next takes a response out, or ends the goroutine: for now, or for good after an error.
func (o *outbox) next(err error) *response {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed = err != nil; o.failed || o.first == len(o.queue) {
		clear(o.queue)
		o.queue, o.first, o.busy = o.queue[:0], 0, false
		o.idle.Broadcast()
		return nil
	}
	o.first++
	return o.queue[o.first-1]
}

// finish waits until everything is sent, or nothing can be.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.idle.Wait()
	}
}
