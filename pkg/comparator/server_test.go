package comparator

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// server is the server's side of the link: it gives orders and keeps the last counts, as the desk does.
type server struct {
	crossfadev1.UnimplementedComparatorServiceServer
	t testing.TB

	mu      sync.Mutex
	orders  *crossfadev1.WorkResponse
	hello   *crossfadev1.ComparatorHello
	last    map[string]*crossfadev1.RunCounts
	tallies map[string][]byte
	goodbye bool
	mute    bool // it takes all and says nothing
	seq     int64
	hellos  int
	runs    int          // in the last counts
	wire    bytes.Buffer // all that the comparator said
	streams map[chan struct{}]bool
	grpc    *grpc.Server
	address string
}

func newServer(t testing.TB) *server {
	s := &server{t: t, last: map[string]*crossfadev1.RunCounts{}, tallies: map[string][]byte{}, orders: &crossfadev1.WorkResponse{}, streams: map[chan struct{}]bool{}}
	s.listen("127.0.0.1:0")
	t.Cleanup(s.stop)
	return s
}

func (s *server) listen(address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	s.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	crossfadev1.RegisterComparatorServiceServer(s.grpc, s)
	go s.grpc.Serve(ln)
}

func (s *server) stop() { s.grpc.Stop() }

func (s *server) order(change func(*crossfadev1.WorkResponse)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.orders)
	for c := range s.streams {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (s *server) Work(stream grpc.BidiStreamingServer[crossfadev1.WorkRequest, crossfadev1.WorkResponse]) error {
	changed := make(chan struct{}, 1)
	s.mu.Lock()
	s.streams[changed] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, changed)
		s.mu.Unlock()
	}()
	ended := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			s.take(m)
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	for {
		s.mu.Lock()
		o, mute := proto.CloneOf(s.orders), s.mute
		o.Sequence = s.seq
		s.mu.Unlock()
		if mute {
			<-stream.Context().Done()
			return nil
		}
		if err := stream.Send(o); err != nil {
			return err
		}
		select {
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				s.mu.Lock()
				o.Sequence = s.seq
				s.mu.Unlock()
				return stream.Send(o)
			}
			return err
		case <-changed:
		}
	}
}

func (s *server) take(m *crossfadev1.WorkRequest) {
	raw, _ := proto.Marshal(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wire.Write(raw)
	if h := m.GetHello(); h != nil {
		s.hello = h
		s.hellos++
		return
	}
	c := m.GetCounts()
	if c.GetSequence() <= s.seq {
		s.t.Errorf("counts %d after %d", c.GetSequence(), s.seq)
	}
	s.seq = c.GetSequence()
	s.goodbye = c.GetGoodbye()
	s.runs = len(c.GetRuns())
	for _, r := range c.GetRuns() {
		key := r.GetMirror() + "/" + r.GetRun()
		s.last[key] = r
		if len(r.GetTally()) > 0 {
			s.tallies[key] = r.GetTally()
		}
	}
}

func (s *server) counts(key string) (*crossfadev1.RunCounts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.last[key]
	return c, ok
}
