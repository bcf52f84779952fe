package semantics

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestAMalformedMessageHarmsNoOther: a request, or an answer, that Envoy cannot take ends itself. Others on the same connection go on: behind a
// proxy of somebody else's they belong to other people.
func TestAMalformedMessageHarmsNoOther(t *testing.T) {
	capitals := [2]string{"X-Upper", "1"}
	eachVersion(t, func(t *testing.T, version string) {
		l := newH2Lab(t, version)
		t.Run("request", func(t *testing.T) {
			c := l.hold(t)
			c.send(3, append(get2(), capitals))
			c.await(3, "reset PROTOCOL_ERROR")
			l.frames.expect(nil)
			c.send(5, get2())
			c.await(5, "HTTP/2 200")
		})
		t.Run("answer", func(t *testing.T) {
			c := l.hold(t)
			var at uint32
			l.frames.expect([]step{func(p *peer, stream uint32) error {
				at = stream
				if err := p.head(stream, append(status2("200"), capitals), true, inOne); err != nil {
					return err
				}
				return p.head(stream-2, status2("200"), true, inOne) // the one that is held
			}})
			c.send(3, get2())
			c.await(3, "HTTP/2 502")
			c.await(1, "HTTP/2 200")
			if at == 0 {
				t.Error("the second request was on another connection")
			}
		})
	})
}

// held is a connection of a client.
type held struct {
	*peer
	t     *testing.T
	ended map[uint32]string // by stream
}

// hold connects, and sends a request that is not answered.
func (l *h2Lab) hold(t *testing.T) *held {
	t.Helper()
	l.frames.expect([]step{})
	conn, err := net.Dial("tcp", net.JoinHostPort(l.host, l.port2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &held{peer: newPeer(conn), t: t, ended: map[uint32]string{}}
	if err := errors.Join(conn.SetDeadline(time.Now().Add(patience)), c.begin()); err != nil {
		t.Fatal(err)
	}
	c.send(1, get2())
	await(t, "the first request", func(context.Context) error {
		if len(l.frames.seen()) == 0 {
			return errors.New("not there")
		}
		return nil
	})
	return c
}

// begin is what a client begins with.
func (p *peer) begin() error {
	if _, err := p.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	return p.framer.WriteSettings()
}

func (c *held) send(stream uint32, fields [][2]string) {
	c.t.Helper()
	if err := c.head(stream, fields, true, inOne); err != nil {
		c.t.Fatal(err)
	}
}

// await reads until a stream has ended so.
func (c *held) await(stream uint32, want string) {
	c.t.Helper()
	for c.ended[stream] == "" {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for stream %d: %v", stream, err)
		}
		switch {
		case f.broken != "":
			c.ended[f.stream] = f.broken
		case f.fields != nil:
			c.ended[f.stream] = answer2(f.fields).start
		}
		if end := c.ended[0]; end != "" {
			c.t.Fatalf("waiting for stream %d: %s", stream, end)
		}
	}
	if c.ended[stream] != want {
		c.t.Fatalf("stream %d: %s, want %s", stream, c.ended[stream], want)
	}
}
