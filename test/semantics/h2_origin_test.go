package semantics

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// frames is an origin that takes HTTP/2 as it comes and answers with given frames, whatever the request.
type frames struct {
	address string

	mu     sync.Mutex
	saw    []message
	answer []step
}

func startFrames(t *testing.T) *frames {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	o := &frames{address: l.Addr().String()}
	open := map[net.Conn]bool{}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			open[c] = true
			o.mu.Unlock()
			conns.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		o.mu.Lock()
		for c := range open {
			c.Close()
		}
		o.mu.Unlock()
		conns.Wait()
	})
	return o
}

// expect forgets what was seen and answers so from now on, nil: as usual.
func (o *frames) expect(answer []step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.saw, o.answer = nil, answer
}

// seen returns the requests since expect, but for those of settle2.
func (o *frames) seen() (out []message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.saw {
		if m.start != settling+"/2" {
			out = append(out, m)
		}
	}
	return out
}

func (o *frames) serve(c net.Conn) {
	defer c.Close()
	p := newPeer(c)
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	if p.framer.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}) != nil {
		return
	}
	streams := map[uint32]*message{}
	for {
		f, err := p.next()
		if err != nil {
			return
		}
		m := streams[f.stream]
		switch {
		case f.broken != "":
			f.ends = m != nil
			if m != nil {
				m.body += " (" + f.broken + ")"
			}
		case m == nil:
			first := request2(f.fields)
			m = &first
			streams[f.stream] = m
		case f.fields != nil:
			m.trailer = f.fields
		default:
			m.body += f.data
		}
		if !f.ends {
			continue
		}
		delete(streams, f.stream)
		o.mu.Lock()
		o.saw = append(o.saw, *m)
		answer := o.answer
		o.mu.Unlock()
		if m.start == settling+"/2" || answer == nil {
			answer = fine2()
		}
		if strings.HasPrefix(m.start, "HEAD ") && len(answer) > 1 {
			answer = []step{head2(true, status2("200", "content-length", "2")...)}
		}
		for _, s := range answer {
			if f.broken == "" && s(p, f.stream) != nil {
				return
			}
		}
	}
}

// fine2 is an ordinary answer.
func fine2() []step {
	return []step{head2(false, status2("200", "content-length", "2")...), body2("ok", true)}
}

// status2 are the fields of an answer, with more: names and values in turn.
func status2(code string, more ...string) [][2]string {
	return with2([][2]string{{":status", code}, {"server", "app/1"}, {"date", "today"}}, more...)
}

func with2(fields [][2]string, more ...string) [][2]string {
	for i := 0; i < len(more); i += 2 {
		fields = append(fields, [2]string{more[i], more[i+1]})
	}
	return fields
}
