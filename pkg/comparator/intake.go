package comparator

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// server takes copies. Proxies speak HTTP/1.1 to it.
func (k *comparator) server() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler: http.HandlerFunc(k.serve), Protocols: &protocols, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: readTime, ReadTimeout: readTime, WriteTimeout: 2 * readTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it may quote what came
	}
}

func (k *comparator) serve(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = nil
	switch {
	case r.Header[mirrorHeader] == nil && r.URL.Path == policy.ComparatorReadyPath: // else it is a copy of a request to a path of that name
		if !k.leased(time.Now()) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	case r.Header[mirrorHeader] == nil:
		w.WriteHeader(http.StatusNotFound) // nobody but proxies has business here
	case !k.begin():
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		if !k.take(r) {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// The headers of copies, as net/http has them.
const (
	mirrorHeader = "X-Cf-Mirror"
	proxyHeader  = "X-Cf-Proxy"
	sentHeader   = "X-Cf-Sent"
	targetHeader = "X-Cf-Target"
	shadowHeader = "X-Shadow"
	viaHeader    = "X-Cf-Via"
)

// take reads a copy to its end, and has it asked or counts why not. It says whether the connection can be used again. It settles even if
// it panics, which net/http survives: else the end would wait for this copy.
func (k *comparator) take(r *http.Request) bool {
	key := first(r.Header[mirrorHeader])
	run := k.run(key)
	if run == nil {
		defer k.copies.Done()
		_, err := drain(r.Body)
		k.tooEarly(key)
		return err == nil
	}
	run.come()
	c := &copied{run: run, cost: &loan{from: k.budget}}
	dropped, settle := dropPanic, run.done
	defer func() {
		if settle != nil {
			k.settle(c, settle, dropped)
		}
	}()
	why, err := c.read(r)
	if why == "" {
		why = c.parse(r)
	}
	if why == "" {
		why = run.admit(&c.question, time.Now())
	}
	if why != "" {
		dropped = why
		return err == nil
	}
	settle = run.leave
	c.headers = cleaned(c.headers, c.grpc)
	settle = nil // start does
	k.start(c)
	return true
}

// settle gives back what a copy had, and counts it.
func (k *comparator) settle(c *copied, count func(dropped string), dropped string) {
	c.cost.end()
	count(dropped)
	k.copies.Done()
}

// run finds a run by the header of a copy.
func (k *comparator) run(key string) *run {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.runs[key]
}

// tooEarly remembers a copy of a run that no order was for yet.
func (k *comparator) tooEarly(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.runs[key]; r != nil { // by now there is
		r.come()
		r.done(dropLease)
		return
	}
	if len(k.early) >= maxEarly {
		clear(k.early) // of runs that ended long ago
	}
	if isRunKey(key) {
		k.early[key]++
	}
}

// copied is a copy that was read.
type copied struct {
	question
	run  *run
	at   place // of the proxy that made it
	host string
	uri  string
	grpc bool
	body []byte
	cost *loan
}

// read takes the body. What is too long is read on, so that the request that it is a copy of is not held up.
func (c *copied) read(r *http.Request) (dropped string, err error) {
	if !c.cost.grow(copyCost + headerBytes(r.Header)) {
		dropped = dropBudget
	}
	if dropped == "" && r.ContentLength != 0 {
		c.body, dropped, err = c.readBody(r)
	}
	if dropped != "" && err == nil {
		_, err = drain(r.Body)
	}
	if err != nil && !errors.Is(err, errTooLong) {
		return dropCanceled, err
	}
	return dropped, err
}

func (c *copied) readBody(r *http.Request) (body []byte, dropped string, err error) {
	if r.ContentLength > policy.MaxMirrorBody {
		return nil, dropTooLong, nil
	}
	var over bool
	body, over, err = readUpTo(r.Body, policy.MaxMirrorBody, r.ContentLength, c.cost, 0)
	switch {
	case errors.Is(err, errBudget):
		return nil, dropBudget, nil
	case over:
		return nil, dropTooLong, nil
	}
	return body, "", err
}

var errTooLong = errors.New("the body goes on and on")

// drain reads on to the end, but not forever.
func drain(body io.Reader) (int64, error) {
	n, err := io.Copy(io.Discard, io.LimitReader(body, maxDrain))
	if err == nil && n == maxDrain {
		err = errTooLong
	}
	return n, err
}

// parse looks at what the proxy said of the copy.
func (c *copied) parse(r *http.Request) (dropped string) {
	marks := r.Header[shadowHeader]
	if len(marks) > 1 || strings.Contains(first(marks), ",") || r.Header[targetHeader] != nil {
		return dropLoop
	}
	sent, ok := parseSent(first(r.Header[sentHeader]))
	if !ok || len(r.Header[sentHeader]) > 1 || len(r.Header[mirrorHeader]) > 1 || first(marks) != c.run.policy.Name || !strings.HasPrefix(r.RequestURI, "/") {
		return dropMalformed
	}
	c.at.proxy = first(r.Header[proxyHeader])
	if len(c.at.proxy) > maxProxyID {
		return dropMalformed
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	c.question = question{method: r.Method, path: path, query: query, headers: r.Header, sent: sent}
	c.host, c.uri = r.Host, r.RequestURI
	c.grpc = strings.HasPrefix(first(r.Header["Content-Type"]), "application/grpc")
	return ""
}

// guarded is a listener that closes connections beyond a number. Waiting would hold up what is good.
type guarded struct {
	net.Listener
	most int64
	open atomic.Int64
}

func newGuarded(l net.Listener, most int) net.Listener {
	return &guarded{Listener: l, most: int64(most)}
}

func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.open.Add(1) <= g.most {
			return &counted{Conn: c, from: g}, nil
		}
		g.open.Add(-1)
		c.Close()
	}
}

type counted struct {
	net.Conn
	from *guarded
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.from.open.Add(-1) })
	return c.Conn.Close()
}
