package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	metricsv1 "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

// secureServer is a server with TLS on every listener.
type secureServer struct {
	*process
	ca       *certtest.CA
	files    certtest.Files
	crl      string
	settings string
}

const secureSettings = `
proxies: [{fleet: default, name: "spiffe://example.test/fleet/default/*"}, {fleet: edge, name: "spiffe://example.test/fleet/edge/*"}]
roles: {viewer: ["spiffe://example.test/fleet/default/*"]}
`

func launchSecure(t *testing.T) *secureServer {
	t.Helper()
	dir := t.TempDir()
	s := &secureServer{ca: certtest.New(t, "authority"), crl: filepath.Join(dir, "crl.pem"), settings: filepath.Join(dir, "settings.yaml")}
	s.files = s.ca.Write(dir, "server", s.ca.Issue(certtest.Spec{DNS: []string{"control.test"}}))
	certtest.Replace(t, s.crl, s.ca.Revoke())
	certtest.Replace(t, s.settings, []byte(secureSettings))
	s.process = launch(t, t.TempDir(), "--dev=false", "--tls-cert", s.files.Cert, "--tls-key", s.files.Key, "--tls-client-ca", s.files.CA, "--tls-crl", s.crl,
		"--config", s.settings, "--http-listen", "0.0.0.0:0")
	return s
}

// as is the configuration of somebody with a certificate; nil: none.
func (s *secureServer) as(c *certtest.Cert) *tls.Config {
	s.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.ca.PEM)
	config := &tls.Config{RootCAs: roots, ServerName: "control.test"}
	if c != nil {
		pair, err := tls.X509KeyPair(c.PEM, c.Key)
		if err != nil {
			s.t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

func (s *secureServer) dial(at string, c *tls.Config) *grpc.ClientConn {
	s.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+at, grpc.WithTransportCredentials(credentials.NewTLS(c)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// stream opens a stream of a proxy and waits for its first answer.
func (s *secureServer) stream(c *tls.Config, fleet string) (discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, error) {
	s.t.Helper()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(s.dial(s.ready.XDS, c)).DeltaAggregatedResources(s.t.Context())
	if err != nil {
		return nil, err
	}
	_ = stream.Send(&discovery.DeltaDiscoveryRequest{Node: &core.Node{Id: "p1", Cluster: fleet}, TypeUrl: resource.ClusterType})
	_, err = stream.Recv()
	return stream, err
}

// askWeb asks over HTTP; "no" is a handshake that failed.
func askWeb(url string, c *tls.Config) string {
	transport := &http.Transport{TLSClientConfig: c}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: deadline}).Get(url)
	if err != nil {
		return "no"
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode)
}

// asks is what each listener gives to somebody: the code of a gRPC call, or the status of an HTTP answer.
func (s *secureServer) asks(c *tls.Config) map[string]string {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.ready.HTTP)
	if err != nil {
		s.t.Fatal(err)
	}
	_, ads := s.stream(c, "default")
	conn := s.dial(s.ready.XDS, c)
	lrs, err := loadstats.NewLoadReportingServiceClient(conn).StreamLoadStats(s.t.Context())
	if err == nil {
		_ = lrs.Send(&loadstats.LoadStatsRequest{Node: &core.Node{Id: "p1", Cluster: "default"}})
		_ = lrs.CloseSend()
		_, err = lrs.Recv()
	}
	loads := status.Code(err).String()
	if err != nil && strings.Contains(err.Error(), "EOF") && status.Code(err) != codes.Unavailable {
		loads = "OK" // taken; there is nothing to say
	}
	report := metadata.AppendToOutgoingContext(s.t.Context(), "x-crossfade-proxy", "p1", "x-crossfade-fleet", "default")
	_, otlp := metricsv1.NewMetricsServiceClient(conn).Export(report, &metricsv1.ExportMetricsServiceRequest{})
	_, api := crossfadev1.NewCrossfadeServiceClient(s.dial(s.ready.API, c)).List(s.t.Context(), &crossfadev1.ListRequest{})
	web := "https://127.0.0.1:" + port
	return map[string]string{
		"ads": status.Code(ads).String(), "lrs": loads, "otlp": status.Code(otlp).String(), "api": status.Code(api).String(),
		"comparator": askWeb("https://"+s.ready.Comparator+"/", c), "healthz": askWeb(web+"/healthz", c), "readyz": askWeb(web+"/readyz", c), "metrics": askWeb(web+"/metrics", c), "root": askWeb(web+"/", c),
	}
}

// TestWhatEachListenerGivesToWhom is a table of everything that listens and every kind of certificate.
func TestWhatEachListenerGivesToWhom(t *testing.T) {
	s := launchSecure(t)
	issue := func(ca *certtest.CA, spec certtest.Spec) *certtest.Cert {
		if spec.SPIFFE == "" {
			spec.SPIFFE = "spiffe://example.test/fleet/default/p1"
		}
		c := ca.Issue(spec)
		return &c
	}
	revoked := issue(s.ca, certtest.Spec{})
	certtest.Replace(t, s.crl, s.ca.Revoke(*revoked))
	s.signal(syscall.SIGHUP)
	s.await("the list to be read", func() bool { return strings.Contains(s.stderr.String(), "certificates read anew") })

	all := func(grpc, http string) map[string]string {
		return map[string]string{
			"ads": grpc, "lrs": grpc, "otlp": grpc, "api": grpc, "comparator": http, "healthz": http, "readyz": http, "metrics": http, "root": http,
		}
	}
	with := func(m map[string]string, pairs ...string) map[string]string {
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	nobody := all("Unavailable", "no")
	for name, c := range map[string]struct {
		cert *certtest.Cert
		want map[string]string
	}{
		"right":           {issue(s.ca, certtest.Spec{}), with(all("OK", "200"), "comparator", "404")},
		"none":            {nil, with(all("Unavailable", "403"), "comparator", "no", "healthz", "200", "readyz", "200")},
		"expired":         {issue(s.ca, certtest.Spec{NotAfter: -time.Minute}), nobody},
		"not yet valid":   {issue(s.ca, certtest.Spec{NotBefore: time.Minute}), nobody},
		"another CA":      {issue(certtest.New(t, "stranger"), certtest.Spec{}), nobody},
		"revoked":         {revoked, nobody},
		"for servers":     {issue(s.ca, certtest.Spec{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), nobody},
		"another fleet's": {issue(s.ca, certtest.Spec{SPIFFE: "spiffe://example.test/fleet/edge/p1"}), with(all("PermissionDenied", "200"), "comparator", "404", "metrics", "403", "root", "403")},
		"nobody's":        {issue(s.ca, certtest.Spec{SPIFFE: "spiffe://example.test/people/ann"}), with(all("PermissionDenied", "200"), "comparator", "404", "metrics", "403", "root", "403")},
	} {
		got := s.asks(s.as(c.cert))
		for listener, want := range c.want {
			if got[listener] != want {
				t.Errorf("%s at %s: %s, want %s", name, listener, got[listener], want)
			}
		}
	}
	if log := s.stderr.String(); !strings.Contains(log, `listener=xds`) || !strings.Contains(log, "was revoked") || !strings.Contains(log, `msg="proxy refused" proxy=p1 fleet=default name=spiffe://example.test/people/ann`) {
		t.Error("the log does not say who was refused and why")
	}
	scrape := s.metrics(issue(s.ca, certtest.Spec{}))
	for _, want := range []string{
		`crossfade_tls_refused_total{listener="xds",reason="revoked"}`, `crossfade_tls_refused_total{listener="api",reason="expired"}`, `crossfade_tls_refused_total{listener="http",reason="unknown_authority"}`,
		`crossfade_tls_expiry_seconds{file="cert"}`, `crossfade_tls_expiry_seconds{file="crl"}`, `crossfade_proxies_refused_total{fleet="default"}`, `crossfade_reload_failures_total 0`,
	} {
		if !strings.Contains(scrape, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func (s *secureServer) metrics(c *certtest.Cert) string {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.ready.HTTP)
	transport := &http.Transport{TLSClientConfig: s.as(c)}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://127.0.0.1:" + port + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// TestSettingsAreReadAnew: who may be a proxy changes with the file, at once by SIGHUP; a bad file changes nothing; streams that may not be any more end.
func TestSettingsAreReadAnew(t *testing.T) {
	s := launchSecure(t)
	c := s.ca.Issue(certtest.Spec{SPIFFE: "spiffe://example.test/fleet/default/p1"})
	stream, err := s.stream(s.as(&c), "default")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.stream(s.as(&c), "edge"); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "no line of the section proxies") {
		t.Fatal(err)
	}
	certtest.Replace(t, s.settings, []byte("proxies: [{fleet: default, name: \"spiffe://*/x\"}]\n"))
	s.await("a complaint", func() bool { return strings.Contains(s.stderr.String(), "the settings file was not read anew") })
	if _, err := s.stream(s.as(&c), "default"); err != nil {
		t.Errorf("after a bad file: %v", err)
	}
	if err := os.Truncate(s.settings, 0); err != nil {
		t.Fatal(err)
	}
	s.await("a complaint about the empty file", func() bool { return strings.Contains(s.stderr.String(), "is empty, and was not") })
	if _, err := s.stream(s.as(&c), "default"); err != nil || stream.Context().Err() != nil {
		t.Errorf("after an empty file: %v", err)
	}
	certtest.Replace(t, s.settings, []byte("proxies: [{fleet: edge, name: \"spiffe://example.test/fleet/*\"}]\nroles: {}\n"))
	s.signal(syscall.SIGHUP)
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "no more") {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := s.stream(s.as(&c), "edge"); err != nil {
		t.Error(err)
	}
	if err := os.Remove(s.settings); err != nil {
		t.Fatal(err)
	}
	s.await("another complaint", func() bool { return strings.Count(s.stderr.String(), "the settings file was not read anew") >= 3 })
	if _, err := s.stream(s.as(&c), "edge"); err != nil {
		t.Errorf("without a file: %v", err)
	}
	s.signal(syscall.SIGTERM)
	if exit := s.exit(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}

// TestCertificateThatDoesNotDoForTheComparator: a server whose certificate its own comparator cannot use says so, and what to do.
func TestCertificateThatDoesNotDoForTheComparator(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.New(t, "authority")
	f := ca.Write(dir, "server", ca.Issue(certtest.Spec{DNS: []string{"control.test"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
	args := []string{"--data-dir", t.TempDir(), "--tls-cert", f.Cert, "--tls-key", f.Key, "--tls-client-ca", f.CA}
	p := command(t, nil, append(args, free()...)...)
	if exit := p.runs(); exit != 1 || !strings.Contains(p.stderr.String(), "for servers and clients") || !strings.Contains(p.stderr.String(), "--comparator-child=false") {
		t.Errorf("exit %d:\n%s", exit, p.stderr)
	}
}

// TestSIGHUPEndsNoServer: without TLS and without a file, too.
func TestSIGHUPEndsNoServer(t *testing.T) {
	p := launch(t, t.TempDir())
	p.signal(syscall.SIGHUP)
	p.await("a word", func() bool { return strings.Contains(p.stderr.String(), "SIGHUP") })
	if _, err := p.client().List(context.Background(), &crossfadev1.ListRequest{}); err != nil {
		t.Error(err)
	}
}
