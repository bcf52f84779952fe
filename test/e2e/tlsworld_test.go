package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// controlName is the name of the control plane in its certificate.
const controlName = "control.example.test"

// secureWorld is a world in which everything speaks TLS.
type secureWorld struct {
	*world
	ca      *certtest.CA
	tls     *stack.TLS
	proxies map[string]certtest.Cert // by id
	config  string                   // settings file
	server  string                   // file of what the control plane prints
	fleet   string                   // in the certificates of proxies to come
}

const secureSettings = `
proxies: [{fleet: default, name: "spiffe://example.test/fleet/default/*"}]
roles: {admin: ["spiffe://example.test/people/*"]}
`

func newSecureWorld(t *testing.T, version string, proxies int) *secureWorld {
	t.Helper()
	dir := t.TempDir()
	s := &secureWorld{world: &world{t: t}, ca: certtest.New(t, "authority"), proxies: map[string]certtest.Cert{}, fleet: "default", config: filepath.Join(dir, "crossfade.yaml")}
	control := s.ca.Write(dir, "control", s.ca.Issue(certtest.Spec{DNS: []string{controlName}}))
	person := s.ca.Write(dir, "ann", s.ca.Issue(certtest.Spec{SPIFFE: "spiffe://example.test/people/ann"}))
	crl := filepath.Join(dir, "crl.pem")
	certtest.Replace(t, crl, s.ca.Revoke())
	certtest.Replace(t, s.config, []byte(secureSettings))
	s.tls = &stack.TLS{
		Server: mtls.Files{Cert: control.Cert, Key: control.Key, CA: control.CA, CRL: crl}, Name: controlName,
		Client: mtls.Files{Cert: person.Cert, Key: person.Key, CA: person.CA},
		Proxy: func(id string) (cert, key, ca string) {
			at := filepath.Join(dir, id)
			if err := os.MkdirAll(at, 0o700); err != nil {
				t.Fatal(err)
			}
			certtest.Replace(t, filepath.Join(at, "ca.pem"), s.ca.PEM)
			s.issue(at, id, s.ca, s.fleet)
			return filepath.Join(at, "tls.crt"), filepath.Join(at, "tls.key"), filepath.Join(at, "ca.pem")
		},
	}
	log := &logFile{}
	s.world = newWorldOf(t, version, proxies, func(c *stack.Config) { c.TLS, c.File = s.tls, s.config; log.of(c) })
	s.server = log.path
	return s
}

// logFile notes where the control plane prints to.
type logFile struct{ path string }

func (l *logFile) of(c *stack.Config) {
	if f, ok := c.Log.(*os.File); ok {
		l.path = f.Name()
	}
}

// issue puts a new certificate of a proxy into its directory, as a mounted secret changes: the files are links through a directory that is a link.
func (s *secureWorld) issue(at, id string, ca *certtest.CA, fleet string) {
	s.t.Helper()
	c := ca.Issue(certtest.Spec{SPIFFE: fmt.Sprintf("spiffe://example.test/fleet/%s/%s", fleet, id)})
	s.proxies[id] = c
	version := filepath.Join(at, "..version-"+c.Serial.String()+"-"+fmt.Sprint(len(ca.PEM)))
	if err := os.Mkdir(version, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for name, data := range map[string][]byte{"tls.crt": c.PEM, "tls.key": c.Key} {
		if err := os.WriteFile(filepath.Join(version, name), data, 0o600); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(at, name)); err != nil && !os.IsExist(err) {
			s.t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Base(version), filepath.Join(at, "..data.new")); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(at, "..data.new"), filepath.Join(at, "..data")); err != nil {
		s.t.Fatal(err)
	}
}

// dir is where the certificate of a proxy is.
func (s *secureWorld) dir(p *stack.Proxy) string {
	return filepath.Join(filepath.Dir(s.tls.Server.Cert), p.ID)
}

// believe writes which authorities everybody believes.
func (s *secureWorld) believe(authorities ...*certtest.CA) {
	s.t.Helper()
	var all [][]byte
	for _, ca := range authorities {
		all = append(all, ca.PEM)
	}
	paths := []string{s.tls.Server.CA, s.tls.Client.CA}
	for _, p := range s.Proxies {
		paths = append(paths, filepath.Join(s.dir(p), "ca.pem"))
	}
	for _, path := range paths {
		certtest.Replace(s.t, path, bytes.Join(all, nil))
	}
}

// secureCtl runs shadowctl as ann.
func (s *secureWorld) secureCtl(args ...string) said {
	s.t.Helper()
	f := s.tls.Client
	return s.ctl(append([]string{"--tls-ca", f.CA, "--tls-cert", f.Cert, "--tls-key", f.Key, "--tls-server-name", controlName}, args...)...)
}

// printed is what the control plane has printed.
func (s *secureWorld) printed() string {
	s.t.Helper()
	b, err := os.ReadFile(s.server)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// says waits until the control plane has printed something.
func (s *secureWorld) says(words ...string) {
	s.t.Helper()
	s.await("the log to have "+strings.Join(words, ", "), func() bool {
		for line := range strings.Lines(s.printed()) {
			all := true
			for _, word := range words {
				all = all && strings.Contains(line, word)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// connected is how many proxies are.
func (s *secureWorld) connected() (n int) {
	s.t.Helper()
	got, err := s.API.ListProxies(s.t.Context(), &crossfadev1.ListProxiesRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range got.GetItems() {
		if p.GetConnected() {
			n++
		}
	}
	return n
}
