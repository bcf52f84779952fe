package probes

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// frozen is a listener whose kernel makes connections while nobody reads them, as of a process that was stopped.
type frozen struct {
	address string
	thaw    func() // from now on all is read
}

func freeze(t *testing.T) frozen {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		serving.Wait() // Envoy has ended before: it was started later
	})
	return frozen{address: l.Addr().String(), thaw: sync.OnceFunc(func() {
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					defer c.Close()
					_, _ = io.Copy(io.Discard, c)
				})
			}
		})
	})}
}
