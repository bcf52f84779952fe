package translate_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// copied is a copy as it arrived, read to its end.
type copied struct {
	*http.Request
	length int64
}

// id is the name that the test gave the request.
func (c copied) id() string { return c.Header.Get("x-id") }

// comparator takes copies as ours does, and can be frozen like a process that was stopped.
type comparator struct {
	address netip.AddrPort

	mu      sync.Mutex
	copies  []copied
	unready bool
	thawed  chan struct{} // closed while it is not frozen
}

func startComparator(t testing.TB) *comparator {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	c := &comparator{address: netip.MustParseAddrPort(listener.Addr().String()), thawed: make(chan struct{})}
	close(c.thawed)
	server := &http.Server{Handler: c}
	served := make(chan error, 1)
	go func() { served <- server.Serve(freezable{listener, c}) }()
	t.Cleanup(func() {
		c.thaw()
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("comparator: %v", err)
		}
	})
	return c
}

func (c *comparator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == policy.ComparatorReadyPath {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.unready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.copies = append(c.copies, copied{r, n})
	w.WriteHeader(http.StatusNoContent)
}

// got are the copies so far.
func (c *comparator) got() []copied {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.copies)
}

// ids are the names of the copied requests, sorted.
func (c *comparator) ids() []string {
	var out []string
	for _, one := range c.got() {
		out = append(out, one.id())
	}
	slices.Sort(out)
	return out
}

// freeze makes it read no byte more, while the kernel goes on making connections.
func (c *comparator) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thawed = make(chan struct{})
}

func (c *comparator) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.thawed:
	default:
		close(c.thawed)
	}
}

// refuse makes it say whether it wants no copies.
func (c *comparator) refuse(unready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unready = unready
}

func (c *comparator) wait() {
	c.mu.Lock()
	thawed := c.thawed
	c.mu.Unlock()
	<-thawed
}

type freezable struct {
	net.Listener
	c *comparator
}

func (f freezable) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return freezableConn{conn, f.c}, nil
}

type freezableConn struct {
	net.Conn
	c *comparator
}

// Read passes nothing on that comes while the comparator is frozen.
func (f freezableConn) Read(b []byte) (int, error) {
	f.c.wait()
	n, err := f.Conn.Read(b)
	f.c.wait()
	return n, err
}

// awaitCopy waits until a request of a name was copied, so that a copy of an earlier one would have come too.
func (l *lab) awaitCopy(id string) copied {
	l.t.Helper()
	var found copied
	l.eventually("the copy of "+id, func() bool {
		all := l.comparator.got()
		i := slices.IndexFunc(all, func(c copied) bool { return c.id() == id })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// isFirst says whether a request is of awaitComparator.
func isFirst(id string) bool { return strings.HasPrefix(id, "first-") }

// awaitComparator waits until copies go to the comparator, which Envoy checks first.
func (l *lab) awaitComparator() {
	l.t.Helper()
	tries := 0
	l.eventually("a first copy", func() bool {
		tries++
		l.get("orders.test", "/", fmt.Sprint("x-id: first-", tries))
		return slices.ContainsFunc(l.comparator.ids(), isFirst)
	})
}

// setComparators says where comparators are.
func (l *lab) setComparators(addrs ...netip.AddrPort) { l.ads.Set(translate.Comparators(addrs)) }

// structure replaces the services and waits until Envoy has it all.
func (l *lab) structure(in intent) {
	l.t.Helper()
	host, _, err := net.SplitHostPort(l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.ads.SetStructureAt(translate.Build(in.fleet(), in.services, translate.Options{}), host, l.experiment)
	l.ads.AwaitAcked(l.t)
}

// setLevers sends these as all levers of a service, and waits until Envoy uses them. It does not say what a share is.
func (l *lab) setLevers(service string, levers []translate.Lever) {
	l.t.Helper()
	l.levers++
	mark := translate.Lever{Key: "test.mark", Value: l.levers}
	l.ads.Set(translate.Layer(translate.LayerOf(service), append(levers, mark)))
	l.envoy.AwaitRuntime(mark.Key, fmt.Sprint(mark.Value))
}

// settled waits until no more copies come, by one that is sent after all others with the share as it is, or after a while.
func (l *lab) settled(least int) (n int) {
	l.t.Helper()
	n, quiet := -1, 0
	l.eventually("copies to be all there", func() bool {
		now := len(l.comparator.got())
		if quiet++; now != n {
			n, quiet = now, 0
		}
		return quiet >= 10 && n >= least
	})
	return n
}

// readUploads makes origins answer only once they have read all of a request. Envoy ends the copy of an upload when an answer comes earlier.
func (l *lab) readUploads() {
	for _, o := range l.origins {
		o.answer(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		})
	}
}
