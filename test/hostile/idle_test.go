package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// most is how many connections this machine lets a process have, at most n.
func most(t *testing.T, n int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if room := int(min(limit.Max, 1<<20)) - 1000; room < n {
		t.Logf("of %d connections, %d are made: the limit of this machine is %d files", n, room, limit.Max)
		return room
	}
	return n
}

// idle is a connection that says what it has to, and then nothing.
type idle struct {
	net.Conn
	ended chan struct{} // closed when the server ends it
}

// preface is what a client of HTTP/2 says first.
func preface(c net.Conn) error {
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	return http2.NewFramer(c, nil).WriteSettings()
}

// polite opens a connection of HTTP/2 that answers every ping, and asks for nothing.
func polite(c net.Conn) error {
	if err := preface(c); err != nil {
		return err
	}
	f := http2.NewFramer(c, bufio.NewReaderSize(c, 512))
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = f.WritePing(true, frame.Data)
			}
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		}
		if err != nil {
			return err
		}
	}
}

// mute says the first words of its protocol and reads until the end.
func mute(words string) func(net.Conn) error {
	return func(c net.Conn) error {
		if _, err := io.WriteString(c, words); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return err
	}
}

// crowd opens connections, each of which behaves, until the server ends it.
func crowd(t *testing.T, address string, n int, behave func(net.Conn) error) []*idle {
	t.Helper()
	out := make([]*idle, 0, n)
	for range n {
		c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", len(out), err)
		}
		i := &idle{c, make(chan struct{})}
		go func() {
			defer close(i.ended)
			_ = behave(c)
		}()
		out = append(out, i)
	}
	t.Cleanup(func() { leave(out) })
	return out
}

func leave(all []*idle) {
	for _, i := range all {
		_ = i.Close()
		<-i.ended
	}
}

// fewFiles are those that a control plane opens and closes by itself, and those of connections that have just ended.
const fewFiles = 20

// gone counts the connections that the server ended.
func gone(all []*idle) (n int) {
	for _, i := range all {
		select {
		case <-i.ended:
			n++
		default:
		}
	}
	return n
}

// TestIdleConnections opens very many connections to each listener and leaves them: others are served, memory is bounded, and each ends at
// its limit.
func TestIdleConnections(t *testing.T) {
	together(t)
	n := most(t, either(1500, 10_000))
	w := newWorld(t, nil)
	w.proxy("good", "default")
	stop := w.others("beside", 10001)
	for _, c := range []struct {
		name, address string
		behave        func(net.Conn) error
		limit         time.Duration // when it is ended at the latest; what takes longer than CI waits for is only tried in full
	}{
		{"xds, without a word", w.Server.XDS, mute(""), 10 * time.Second},
		{"api, without a word", w.Server.API, mute(""), 10 * time.Second},
		{"http, without a word", w.Server.HTTP, mute(""), 5 * time.Second},
		{"http, a line without an end", w.Server.HTTP, mute("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "), 5 * time.Second},
		{"http, after an answer", w.Server.HTTP, mute("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), time.Minute},
		{"xds, pings answered", w.Server.XDS, polite, time.Minute},
		{"api, pings answered", w.Server.API, polite, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := w.memory()
			open := w.descriptors()
			began := time.Now()
			all := crowd(t, c.address, n, c.behave)
			w.await(t, "the connections to be taken", func() bool { return w.descriptors() > open+n-fewFiles })
			during, _ := w.memory()
			took := time.Since(began).Round(time.Millisecond)
			t.Logf("%d connections in %v: memory %d MiB before, %d with them (%.1f kB each), %d descriptors", n, took, before, during, float64(during-before)*1024/float64(n), w.descriptors())
			if each := float64(during-before) * 1024 / float64(n); each > 80 {
				t.Errorf("%.1f kB for a connection", each)
			}
			w.answers(t)
			if c.limit > 10*time.Second && either(0, 1) == 0 {
				leave(all)
				w.await(t, "the connections to be given back", func() bool { return w.descriptors() < open+fewFiles })
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), c.limit+time.Minute)
			defer cancel()
			if err := poll.Until(ctx, 50*time.Millisecond, poll.True(func() bool { return gone(all) == n })); err != nil {
				t.Fatalf("%d of %d connections are left after %v", n-gone(all), n, time.Since(began))
			}
			t.Logf("the last ended after %v", time.Since(began).Round(time.Millisecond))
		})
	}
	stop().unaffected(t, 50, 3*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, 20*time.Millisecond, poll.True(func() bool { return w.descriptors() < 200 })); err != nil {
		t.Errorf("%d descriptors are left open", w.descriptors())
	}
}

// answers: each listener serves somebody who comes now.
func (w *world) answers(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if _, err := crossfadev1.NewCrossfadeServiceClient(dial(t, w.Server.API)).GetServerInfo(ctx, &crossfadev1.GetServerInfoRequest{}); err != nil {
		t.Errorf("the API: %v", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/readyz", w.Server.HTTP), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP: %v %v", resp, err)
	}
	_ = resp.Body.Close()
	t.Logf("newcomers were answered in %v", time.Since(began).Round(time.Millisecond))
}
