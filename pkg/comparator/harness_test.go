package comparator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

const deadline = 20 * time.Second

// world is a comparator with all that is around it.
type world struct {
	t       testing.TB
	server  *server
	proxy   *proxyFake
	log     *lockedBuffer
	address string
	key     string
	doc     *crossfadev1.Mirror
	stop    context.CancelFunc
	ended   chan error
	client  *http.Client
	// experiment is where the proxy is asked.
	experiment string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// proxyFake does what the experiment listener of a proxy does: it finds the origin by a header, and marks answers of its own.
type proxyFake struct {
	*httptest.Server
	mu      sync.Mutex
	origins map[string]*httptest.Server
	asked   map[string]*atomic.Int64
	http2   *http.Transport
	flags   string // if set, it answers all by itself
	id      string // what it says it is
}

func (p *proxyFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.Header.Get("x-cf-target")
	p.mu.Lock()
	origin, asked, flags, id := p.origins[target], p.asked[target], p.flags, p.id
	p.mu.Unlock()
	own := func(flags string) {
		w.Header().Set("x-cf-failed", flags)
		w.Header().Set("x-cf-via", id)
		if strings.HasPrefix(r.Header.Get("content-type"), "application/grpc") {
			w.Header().Set("content-type", "application/grpc")
			w.Header().Set("grpc-status", "14")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if origin == nil || flags != "" {
		own(max(flags, "NC"))
		return
	}
	asked.Add(1)
	r.Header.Del("x-cf-target")
	to, _ := url.Parse(origin.URL)
	back := &httputil.ReverseProxy{
		Rewrite:   func(q *httputil.ProxyRequest) { q.Out.URL.Scheme, q.Out.URL.Host = to.Scheme, to.Host },
		Transport: p.transport(r, origin), FlushInterval: -1,
		ModifyResponse: func(a *http.Response) error { a.Header.Set("x-cf-via", id); return nil },
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			switch {
			case errors.Is(err, syscall.ECONNREFUSED):
				own("UF")
			case r.Context().Err() != nil:
			default:
				own("UC")
			}
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	back.ServeHTTP(w, r)
}

// with answers for all origins in the proxy itself.
func (p *proxyFake) with(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(policy.HeaderTarget) == policy.NoShadowCluster {
			p.ServeHTTP(w, r)
			return
		}
		w.Header()[viaHeader] = []string{"p1"}
		h.ServeHTTP(w, r)
	})
}

// transport is that for a request: gRPC goes over HTTP/2.
func (p *proxyFake) transport(r *http.Request, origin *httptest.Server) http.RoundTripper {
	if strings.HasPrefix(r.Header.Get("content-type"), "application/grpc") {
		return p.http2
	}
	return origin.Client().Transport
}

func h2c() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

func start(t testing.TB, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = h2c()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.Start()
	tr := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	s.Client().Transport = tr
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// newWorld starts a comparator with two origins, at rest: no order is given.
func newWorld(t testing.TB, control, candidate http.Handler, limits Limits) *world {
	if limits.pause == 0 {
		limits.pause = 1 // tests send at once what takes a second elsewhere
	}
	or(&limits.countsEvery, 50*time.Millisecond)
	p := &proxyFake{id: "p1", origins: map[string]*httptest.Server{}, asked: map[string]*atomic.Int64{}}
	p.http2 = &http.Transport{Protocols: &http.Protocols{}, DisableCompression: true}
	p.http2.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(p.http2.CloseIdleConnections)
	p.Server = start(t, p)
	for origin, h := range map[string]http.Handler{"ecs": control, "eks": candidate} {
		name := policy.ShadowClusterName("shop", origin)
		p.asked[name] = &atomic.Int64{}
		if h != nil {
			p.origins[name] = start(t, h)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: newServer(t), proxy: p, log: &lockedBuffer{}, address: ln.Addr().String(), ended: make(chan error, 1)}
	w.experiment = p.Listener.Addr().String()
	w.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	conn, err := grpc.NewClient("passthrough:///"+w.server.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() {
		w.ended <- Run(ctx, Config{Listener: ln, Server: conn, Log: slog.New(slog.NewJSONHandler(w.log, nil)), Version: "test", Limits: limits})
	}()
	t.Cleanup(func() {
		w.end()
		conn.Close()
		w.client.CloseIdleConnections()
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	return w
}

// end ends the comparator and waits for it.
func (w *world) end() {
	w.stop()
	select {
	case err := <-w.ended:
		w.ended <- err
		if err != nil {
			w.t.Errorf("the comparator ended: %v", err)
		}
	case <-time.After(deadline):
		w.t.Error("the comparator does not end")
	}
}

// document is the experiment of tests.
func document() *crossfadev1.Mirror {
	zero := int32(0)
	return &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: "m", Service: "shop", Control: "ecs", Candidate: "eks", Share: 10_000, MaxRps: 100_000,
		Learn: durationpb.New(0), Noise: &crossfadev1.MirrorNoise{Share: &zero}, Run: &crossfadev1.MirrorRun{Id: "r1", Started: timestamppb.New(time.Now())},
	}
}

var hashKey = []byte("0123456789abcdef0123456789abcdef")

// run gives the order for a document, and waits until it is followed.
func (w *world) run(doc *crossfadev1.Mirror, change func(*crossfadev1.RunOrder)) {
	w.t.Helper()
	w.doc, w.key = doc, doc.GetName()+"/"+doc.GetRun().GetId()
	order := &crossfadev1.RunOrder{Mirror: doc, Key: hashKey, MaxRps: 100_000}
	if change != nil {
		change(order)
	}
	w.server.order(func(o *crossfadev1.WorkResponse) {
		o.Runs = []*crossfadev1.RunOrder{order}
		o.Lease = durationpb.New(time.Minute)
		o.Proxies = &crossfadev1.ProxyAddresses{Addresses: map[string]string{"p1": w.experiment}}
	})
	w.await("to follow the order", func() bool { _, ok := w.server.counts(w.key); return ok && w.ready() == http.StatusOK })
}

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := poll.Until(ctx, 5*time.Millisecond, poll.True(ok)); err != nil {
		w.t.Fatalf("waiting %s: %v", what, err)
	}
}

func (w *world) ready() int {
	r, err := w.client.Get("http://" + w.address + policy.ComparatorReadyPath)
	if err != nil {
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}

// copyOf is a copy as a proxy makes it.
func (w *world) copyOf(method, uri, body string) *http.Request {
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "http://"+w.address+uri, b)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = "shop.example"
	for k, v := range map[string]string{
		"x-shadow": "m", "x-cf-mirror": w.key, "x-cf-proxy": "p1", "x-cf-sent": fmt.Sprintf("%.3f", float64(time.Now().UnixMilli())/1000), "x-forwarded-for": "10.0.0.1,127.0.0.1",
	} {
		r.Header.Set(k, v)
	}
	return r
}

func (w *world) send(r *http.Request) {
	w.t.Helper()
	a, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != http.StatusNoContent {
		w.t.Errorf("a copy got %d", a.StatusCode)
	}
}

func (w *world) get(uri string) { w.t.Helper(); w.send(w.copyOf("GET", uri, "")) }

// report is what the server knows.
func (w *world) report() *shadow.Report {
	w.t.Helper()
	m, errs := policy.CompileMirror(w.doc)
	if errs.Err() != nil {
		w.t.Fatal(errs)
	}
	o, errs := shadow.OptionsOf(m, hashKey)
	if errs.Err() != nil {
		w.t.Fatal(errs)
	}
	w.server.mu.Lock()
	raw := w.server.tallies[w.key]
	w.server.mu.Unlock()
	if len(raw) == 0 {
		return &shadow.Report{}
	}
	tally, err := shadow.DecodeTally(o, raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return tally.Report(shadow.Policy{Control: "ecs", Candidate: "eks"})
}

// mirrored is how many copies have been counted.
func mirrored(r *shadow.Report) uint64 {
	sum := r.Compared + r.Unrepresentative + r.TargetFailed + r.Answered
	for _, n := range r.Dropped {
		sum += n
	}
	return sum
}

// awaitCounted waits until n copies are counted, and returns the report.
func (w *world) awaitCounted(n uint64) *shadow.Report {
	w.t.Helper()
	var r *shadow.Report
	w.await(fmt.Sprintf("for %d copies to be counted", n), func() bool { r = w.report(); return mirrored(r) >= n })
	if mirrored(r) != n {
		w.t.Errorf("%d copies were counted, %d were sent: %+v", mirrored(r), n, r)
	}
	return r
}

func logTo(b *lockedBuffer) *slog.Logger { return slog.New(slog.NewJSONHandler(b, nil)) }
