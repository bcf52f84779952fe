package mtls

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// world is a server with an authority, as gRPC and as HTTP.
type world struct {
	t        *testing.T
	dir      string
	ca       *certtest.CA
	files    Files
	keeper   *Keeper
	log      *buffer
	skew     atomic.Int64 // added to the clock
	rpc, web string       // addresses
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var server = certtest.Spec{Name: "server", DNS: []string{"localhost"}, IPs: []string{"127.0.0.1"}}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ca: certtest.New(t, "authority"), log: &buffer{}}
	f := w.ca.Write(w.dir, "server", w.ca.Issue(server))
	w.files = Files{Cert: f.Cert, Key: f.Key, CA: f.CA, CRL: filepath.Join(w.dir, "crl.pem")}
	certtest.Replace(t, w.files.CRL, w.ca.Revoke())
	var err error
	w.keeper, err = open(w.files, slog.New(slog.NewTextHandler(w.log, nil)), w.now)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(w.keeper.Credentials("rpc")))
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	rpc, web := listen(t), listen(t)
	h := &http.Server{
		Handler:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		ErrorLog: slog.NewLogLogger(w.keeper.HandshakeLog("web"), slog.LevelError),
	}
	w.rpc, w.web = rpc.Addr().String(), web.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.keeper.Run(ctx) })
	running.Go(func() { _ = s.Serve(w.keeper.Listener(rpc, "rpc")) })
	running.Go(func() {
		_ = h.Serve(tls.NewListener(w.keeper.Listener(web, "web"), w.keeper.ServerConfig(true, "http/1.1")))
	})
	t.Cleanup(func() {
		cancel()
		s.Stop()
		_ = h.Close()
		running.Wait()
	})
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// client returns the configuration of a client with a certificate; nil: none.
func (w *world) client(c *certtest.Cert) *tls.Config {
	w.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.ca.PEM)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if c != nil {
		pair, err := tls.X509KeyPair(c.PEM, c.Key)
		if err != nil {
			w.t.Fatal(err)
		}
		// Shown whatever the server says it takes: a stranger does not ask.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// ask makes a request; nil: it was answered.
func (w *world) ask(c *certtest.Cert) error {
	transport := &http.Transport{TLSClientConfig: w.client(c)}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + w.web)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// watch opens a stream and waits for its first message.
func (w *world) watch(c *certtest.Cert) (grpc_health_v1.Health_WatchClient, error) {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.rpc, grpc.WithTransportCredentials(credentials.NewTLS(w.client(c))))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	stream, err := grpc_health_v1.NewHealthClient(conn).Watch(w.t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	return stream, err
}

func TestWhoIsLetIn(t *testing.T) {
	w := newWorld(t)
	stranger := certtest.New(t, "stranger")
	issue := func(ca *certtest.CA, s certtest.Spec) *certtest.Cert {
		s.SPIFFE = "spiffe://example.test/ann"
		c := ca.Issue(s)
		return &c
	}
	revoked := issue(w.ca, certtest.Spec{})
	certtest.Replace(t, w.files.CRL, w.ca.Revoke(*revoked))
	if err := w.keeper.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cert   *certtest.Cert
		reason string // empty: let in
	}{
		"right":         {issue(w.ca, certtest.Spec{}), ""},
		"none":          {nil, ReasonNone},
		"expired":       {issue(w.ca, certtest.Spec{NotAfter: -time.Minute}), ReasonExpired},
		"not yet valid": {issue(w.ca, certtest.Spec{NotBefore: time.Minute}), ReasonEarly},
		"other CA":      {issue(stranger, certtest.Spec{}), ReasonAuthority},
		"revoked":       {revoked, ReasonRevoked},
		"server only":   {issue(w.ca, certtest.Spec{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), ReasonUsage},
	} {
		for listener, ask := range map[string]func(*certtest.Cert) error{
			"rpc": func(c *certtest.Cert) error { _, err := w.watch(c); return err },
			"web": w.ask,
		} {
			reason := c.reason
			if listener == "web" && reason == ReasonNone {
				reason = "" // open: the handler decides
			}
			before := w.keeper.State().Refused
			err := ask(c.cert)
			if (err == nil) != (reason == "") {
				t.Errorf("%s: %s: %v", listener, name, err)
			}
			if reason == "" {
				continue
			}
			of := Refusal{listener, reason}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := poll.Until(ctx, time.Millisecond, func(context.Context) error {
				if w.keeper.State().Refused[of] == before[of] {
					return errors.New("not counted")
				}
				return nil
			}); err != nil {
				t.Errorf("%s: %s: %v; counted: %v", listener, name, err, w.keeper.State().Refused)
			}
			cancel()
		}
	}
	if text := w.log.String(); !strings.Contains(text, "the certificate of spiffe://example.test/ann, serial") || !strings.Contains(text, "was revoked") {
		t.Errorf("the log does not say who was revoked:\n%s", text)
	}
}

// TestConnectionsEnd: a stream ends when its certificate was revoked, has expired, or its authority is believed no more, and others go on.
func TestConnectionsEnd(t *testing.T) {
	for name, end := range map[string]func(w *world, c certtest.Cert){
		"revoked": func(w *world, c certtest.Cert) { certtest.Replace(w.t, w.files.CRL, w.ca.Revoke(c)) },
		"expired": func(w *world, _ certtest.Cert) { w.skew.Store(int64(45 * time.Minute)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one, other := w.ca.Issue(certtest.Spec{Name: "one", NotAfter: 30 * time.Minute}), w.ca.Issue(certtest.Spec{Name: "other"})
			ended, err := w.watch(&one)
			if err != nil {
				t.Fatal(err)
			}
			stays, err := w.watch(&other)
			if err != nil {
				t.Fatal(err)
			}
			end(w, one)
			if _, err := ended.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("the stream ended with %v", err)
			}
			if text := w.log.String(); !strings.Contains(text, "connection ended") || !strings.Contains(text, "name=one") || !strings.Contains(text, "reason="+name) {
				t.Errorf("the log says\n%s", text)
			}
			if err := stays.Context().Err(); err != nil {
				t.Error(err)
			}
			if _, err := w.watch(&other); err != nil {
				t.Error(err)
			}
			if n := len(connected(w)); n != 2 {
				t.Errorf("%d connections are open, want 2", n)
			}
		})
	}
}

// connected lists who is connected by gRPC.
func connected(w *world) (names []string) {
	w.keeper.open.mu.Lock()
	defer w.keeper.open.mu.Unlock()
	for c := range w.keeper.open.conns {
		if c.listener == "rpc" {
			names = append(names, nameOf(c.peer[0]))
		}
	}
	return names
}

// TestChangeOfAuthority: with both authorities in the file, peers of either are let in; once the old one is out of it, its connections end.
func TestChangeOfAuthority(t *testing.T) {
	w := newWorld(t)
	next := certtest.New(t, "next")
	old, young := w.ca.Issue(certtest.Spec{Name: "old"}), next.Issue(certtest.Spec{Name: "young"})
	a, err := w.watch(&old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.watch(&young); err == nil {
		t.Fatal("a stranger was let in")
	}
	certtest.Replace(t, w.files.CA, append(bytes.Clone(w.ca.PEM), next.PEM...))
	if err := w.keeper.Reload(); err != nil {
		t.Fatal(err)
	}
	b, err := w.watch(&young)
	if err != nil {
		t.Fatal(err)
	}
	if a.Context().Err() != nil {
		t.Error("the connection of the old authority ended too early")
	}
	certtest.Replace(t, w.files.CA, next.PEM)
	certtest.Replace(t, w.files.CRL, next.Revoke())
	if _, err := a.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
	if b.Context().Err() != nil {
		t.Error("the connection of the new authority ended")
	}
}

// TestBadFilesChangeNothing: what cannot be used is not, and said to be so; what comes after it is.
func TestBadFilesChangeNothing(t *testing.T) {
	w := newWorld(t)
	good := w.ca.Issue(certtest.Spec{Name: "ann"})
	serial := func() string { return w.keeper.current.Load().cert.Leaf.SerialNumber.String() }
	first := serial()
	other := w.ca.Issue(server)
	stranger := certtest.New(t, "stranger")
	forged := certtest.New(t, "authority").Revoke() // by its name
	for name, c := range map[string]struct {
		path string
		data []byte
	}{
		"a key that does not fit":      {w.files.Key, other.Key},
		"an empty certificate":         {w.files.Cert, nil},
		"half a certificate":           {w.files.Cert, other.PEM[:len(other.PEM)/2]},
		"an expired certificate":       {w.files.Cert, w.ca.Issue(certtest.Spec{NotAfter: -time.Minute}).PEM},
		"an authority that is none":    {w.files.CA, other.PEM},
		"no authority":                 {w.files.CA, []byte("hello")},
		"a list that is none":          {w.files.CRL, other.PEM},
		"a list that another signed":   {w.files.CRL, forged},
		"the authority's list gone":    {w.files.CRL, stranger.Revoke()},
		"a key in place of an authori": {w.files.CA, stranger.Issue(certtest.Spec{}).Key},
	} {
		was, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		failures := w.keeper.State().Failures
		certtest.Replace(t, c.path, c.data)
		var bad *FileError
		if err := w.keeper.Reload(); !errors.As(err, &bad) || bad.Path != c.path {
			t.Errorf("%s: %v, want an error of %s", name, err, c.path)
		}
		if s := w.keeper.State(); s.Failures <= failures || s.Bad == nil {
			t.Errorf("%s: not counted: %+v", name, s)
		}
		if err := w.ask(&good); err != nil || serial() != first {
			t.Errorf("%s: what there was does not go on: %v", name, err)
		}
		certtest.Replace(t, c.path, was)
		if err := w.keeper.Reload(); err != nil || w.keeper.State().Bad != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if !strings.Contains(w.log.String(), "certificates were not read anew") {
		t.Error("the log says nothing")
	}
}

// TestTheListOfAnIntermediateStays: who issues for an authority is in no file but that of its list.
func TestTheListOfAnIntermediateStays(t *testing.T) {
	w := newWorld(t)
	intermediate := certtest.New(t, "intermediate")
	both := append(w.ca.Revoke(), intermediate.Revoke()...)
	for _, c := range []struct {
		lists []byte
		taken bool
	}{{both, true}, {w.ca.Revoke(), false}, {both, true}} {
		certtest.Replace(t, w.files.CRL, c.lists)
		err := w.keeper.Reload()
		if (err == nil) != c.taken || err != nil && !strings.Contains(err.Error(), `the list of "CN=intermediate" is gone`) {
			t.Errorf("taken %t: %v", c.taken, err)
		}
	}
}

// TestFilesAreWatched: a rotated pair is shown within a look or two, by a link that is swapped as well, and connections go on.
func TestFilesAreWatched(t *testing.T) {
	w := newWorld(t)
	good := w.ca.Issue(certtest.Spec{Name: "ann"})
	stream, err := w.watch(&good)
	if err != nil {
		t.Fatal(err)
	}
	shows := func(serial string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := poll.Until(ctx, 20*time.Millisecond, func(context.Context) error {
			c, err := tls.Dial("tcp", w.web, w.client(&good))
			if err != nil {
				return err
			}
			defer c.Close()
			if got := c.ConnectionState().PeerCertificates[0].SerialNumber.String(); got != serial {
				return errors.New("it shows " + got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	next := w.ca.Issue(server)
	certtest.Replace(t, w.files.Cert, next.PEM)
	certtest.Replace(t, w.files.Key, next.Key)
	shows(next.Serial.String())
	// As a mounted secret changes: the paths are links through a directory that is a link.
	swapped := w.ca.Issue(server)
	volume := filepath.Join(w.dir, "volume")
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	w.ca.Write(volume, "server", swapped)
	for path, to := range map[string]string{w.files.Cert: "server.pem", w.files.Key: "server.key"} {
		if err := os.Symlink(filepath.Join("volume", to), path+".link"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".link", path); err != nil {
			t.Fatal(err)
		}
	}
	shows(swapped.Serial.String())
	if stream.Context().Err() != nil {
		t.Error("the stream ended")
	}
	if end := w.keeper.State().Ends["cert"]; time.Until(end) > 61*time.Minute || time.Until(end) < 58*time.Minute {
		t.Errorf("the certificate ends at %s", end)
	}
}

// TestDialer: a client knows its server by a host name, an address or a SPIFFE id, and no other.
func TestDialer(t *testing.T) {
	w := newWorld(t)
	c := w.ca.Issue(certtest.Spec{Name: "ann", SPIFFE: "spiffe://example.test/server"})
	f := w.ca.Write(w.dir, "ann", c)
	k, err := Open(Files{Cert: f.Cert, Key: f.Key, CA: f.CA, CRL: w.files.CRL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(k *Keeper, at, name string) error {
		conn, err := grpc.NewClient("passthrough:///"+at, grpc.WithTransportCredentials(k.Dialer(name)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	for name, good := range map[string]bool{"": true, "localhost": true, "127.0.0.1": true, "other.test": false, "spiffe://example.test/server": false} {
		if err := check(k, w.rpc, name); (err == nil) != good {
			t.Errorf("server name %q: %v", name, err)
		}
	}
	// The same server, by a SPIFFE id.
	rotated := w.ca.Issue(certtest.Spec{SPIFFE: "spiffe://example.test/server"})
	certtest.Replace(t, w.files.Cert, rotated.PEM)
	certtest.Replace(t, w.files.Key, rotated.Key)
	if err := w.keeper.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"": false, "spiffe://example.test/server": true, "spiffe://example.test/serve": false, "spiffe://example.test/*": false} {
		if err := check(k, w.rpc, name); (err == nil) != good {
			t.Errorf("server name %q: %v", name, err)
		}
	}
	certtest.Replace(t, w.files.CRL, w.ca.Revoke(rotated))
	if err := check(k, w.rpc, "spiffe://example.test/server"); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("a server whose certificate was revoked: %v", err)
	}
	if err := w.keeper.Reload(); err != nil {
		t.Fatal(err)
	}
	if name, err := w.keeper.CheckOwn(); err == nil || name != "" {
		t.Errorf("own certificate, revoked: %q, %v", name, err)
	}
}

func TestPlainRequestsAreCounted(t *testing.T) {
	w := newWorld(t)
	for _, at := range []string{w.rpc, w.web} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, listener := range []string{"rpc", "web"} { // net/http closes the connection before it says why
		counted := poll.True(func() bool { return w.keeper.State().Refused[Refusal{listener, ReasonPlain}] == 1 })
		if err := poll.Until(ctx, time.Millisecond, counted); err != nil {
			t.Errorf("%s: %v, %v", listener, err, w.keeper.State().Refused)
		}
	}
}
