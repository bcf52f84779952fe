package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// largest is the size of the largest message over UDP that is read.
const largest = 4096

// Question is one that was asked.
type Question struct {
	Name    string // lower case, without trailing dot
	Type    dnsmessage.Type
	Network string // "udp" or "tcp"
	At      time.Time
}

// Server is a DNS server that ends with the test. Names that were not set do not exist.
type Server struct {
	Addr netip.AddrPort

	t       testing.TB
	serving sync.WaitGroup

	mu      sync.Mutex
	answers map[string]Answer
	asked   []Question
	changed chan struct{} // closed and replaced at every question
	sockets []io.Closer   // empty: it is down
}

// Start starts a server.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, Addr: netip.MustParseAddrPort(loopback.Host() + ":0"), answers: map[string]Answer{}, changed: make(chan struct{})}
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// Set says what a name is answered with from now on.
func (s *Server) Set(name string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[canonical(name)] = a
}

// Down closes the server's sockets: questions are refused by the machine, as if no server ran there.
func (s *Server) Down() {
	s.mu.Lock()
	for _, c := range s.sockets {
		_ = c.Close()
	}
	s.sockets = nil
	s.mu.Unlock()
	s.serving.Wait()
}

// Up opens them again, at the same address.
func (s *Server) Up() {
	s.t.Helper()
	var config net.ListenConfig
	packets, err := config.ListenPacket(context.Background(), "udp", s.Addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	at := netip.MustParseAddrPort(packets.LocalAddr().String())
	streams, err := config.Listen(context.Background(), "tcp", at.String())
	if err != nil {
		_ = packets.Close()
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Addr, s.sockets = at, []io.Closer{packets, streams}
	s.serving.Go(func() { s.serveUDP(packets) })
	s.serving.Go(func() { s.serveTCP(streams) })
}

// Asked returns the questions for a name so far, in order.
func (s *Server) Asked(name string) []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.about(canonical(name))
}

// AwaitAsked waits until a name has been asked for n times since the start, whatever the types, and returns the questions.
func (s *Server) AwaitAsked(name string, n int) []Question {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		got, changed := s.about(canonical(name)), s.changed
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.t.Fatalf("%s was asked for %d times, not %d", name, len(got), n)
		}
	}
}

// about returns the questions for a name. The caller holds mu.
func (s *Server) about(name string) []Question {
	return slices.DeleteFunc(slices.Clone(s.asked), func(q Question) bool { return q.Name != name })
}

func (s *Server) serveUDP(c net.PacketConn) {
	buf := make([]byte, largest)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the kernel's word that an earlier answer did not arrive
		}
		if reply := s.reply(buf[:n], "udp"); reply != nil {
			_, _ = c.WriteTo(reply, from)
		}
	}
}

func (s *Server) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if s.admit(c) {
			s.serving.Go(func() { s.serveStream(c) })
		}
	}
}

// admit notes a connection, or closes it if the server has gone down meanwhile.
func (s *Server) admit(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets == nil {
		_ = c.Close()
		return false
	}
	s.sockets = append(s.sockets, c)
	return true
}

// serveStream answers messages with their length in front, until the client leaves or the server goes down.
func (s *Server) serveStream(c net.Conn) {
	defer c.Close()
	for {
		var length uint16
		if binary.Read(c, binary.BigEndian, &length) != nil {
			return
		}
		question := make([]byte, length)
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		reply := s.reply(question, "tcp")
		if reply == nil {
			continue
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// reply reads a message and packs the answer; nil: there is none.
func (s *Server) reply(message []byte, network string) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil {
		s.t.Errorf("a message that is not DNS: %v", err)
		return nil
	}
	q, err := p.Question()
	if err != nil {
		s.t.Errorf("a message without a question: %v", err)
		return nil
	}
	reply, err := s.note(canonical(q.Name.String()), q.Type, network).message(h.ID, q)
	if err != nil {
		s.t.Error(fmt.Errorf("pack the answer: %w", err))
		return nil
	}
	return reply
}

// note remembers a question and returns the answer.
func (s *Server) note(name string, kind dnsmessage.Type, network string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, Question{name, kind, network, time.Now()})
	close(s.changed)
	s.changed = make(chan struct{})
	if a, ok := s.answers[name]; ok {
		return a
	}
	return NotFound
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
