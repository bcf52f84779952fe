package comparator

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// breaking is a proxy that closes the connection instead of answering a request for /b, and keeps what came.
type breaking struct {
	net.Listener
	mu    sync.Mutex
	heads []string
	all   sync.WaitGroup
}

func startBreaking(t *testing.T) *breaking {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &breaking{Listener: ln}
	b.all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.all.Go(func() { defer c.Close(); b.serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close() })
	return b
}

func (b *breaking) serve(c net.Conn) {
	var raw bytes.Buffer
	in := bufio.NewReader(c)
	for {
		raw.Reset()
		for !strings.HasSuffix(raw.String(), "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			raw.WriteString(strings.ToLower(line))
		}
		head := raw.String()
		if strings.Contains(head, policy.NoShadowCluster) {
			fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\nx-cf-via: p1\r\nx-cf-failed: NC\r\ncontent-length: 0\r\n\r\n")
			continue
		}
		b.mu.Lock()
		b.heads = append(b.heads, head)
		b.mu.Unlock()
		if strings.Contains(head, " /b ") {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 204 No Content\r\nx-cf-via: p1\r\n\r\n")
	}
}

// asked are the requests of a path.
func (b *breaking) asked(path string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.heads {
		if strings.Contains(h, " "+path+" ") {
			out = append(out, h)
		}
	}
	return out
}

// TestNobodyIsAskedTwice: a connection that breaks costs a pair, and is no reason to ask once more. What is sent has a length where it had one.
func TestNobodyIsAskedTwice(t *testing.T) {
	t.Parallel()
	for method, framed := range map[string]bool{"GET": false, "HEAD": false, "OPTIONS": false, "DELETE": false, "POST": true, "PUT": true, "PATCH": true} {
		t.Run(method, func(t *testing.T) {
			b := startBreaking(t)
			w := newWorld(t, nil, nil, Limits{Spread: time.Minute})
			w.experiment = b.Addr().String()
			doc := document()
			doc.Methods, doc.AllowWrites = []string{method}, true
			w.run(doc, nil)
			send := func(path string) {
				r := w.copyOf(method, path, "")
				r.Header.Set("Idempotency-Key", "k")
				r.Header.Set("X-Idempotency-Key", "k")
				w.send(r)
			}
			send("/a")
			w.awaitCounted(1)
			send("/b")
			if r := w.awaitCounted(2); r.Compared != 1 || r.Dropped[dropProxy] != 1 {
				t.Errorf("compared %d, %v", r.Compared, r.Dropped)
			}
			if n := len(b.asked("/b")); n != 2 {
				t.Errorf("%d requests for a pair", n)
			}
			c, _ := w.server.counts(w.key)
			if asked := c.GetAskedControl() + c.GetAskedCandidate(); asked != 4 {
				t.Errorf("told is that %d were asked, want 4", asked)
			}
			for _, head := range slices.Concat(b.asked("/a"), b.asked("/b")) {
				if strings.Contains(head, "transfer-encoding") || strings.Contains(head, "content-length: 0\r\n") != framed || strings.Contains(head, "content-length") != framed ||
					strings.Count(head, "idempotency-key: k\r\n") != 2 {
					t.Error(head)
				}
			}
		})
	}
}

// TestCopiesOfTheReadyPath are copies: a client may ask for a path of that name.
func TestCopiesOfTheReadyPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), nil)
	w.get(policy.ComparatorReadyPath + "?x=1")
	if r := w.awaitCounted(1); r.Compared != 1 {
		t.Errorf("%+v", r)
	}
	if got := w.ready(); got != http.StatusOK {
		t.Errorf("ready: %d", got)
	}
}
