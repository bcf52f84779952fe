package translate_test

import (
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestCertificateRotatedUnderLoad: another certificate in the same files is shown to new connections, those that are there stay, and no request fails.
// What does not fit is passed over.
func TestCertificateRotatedUnderLoad(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "", "")
		l := loadOn(t, func() (*connection, error) { return e.connect(e.client("one.test")) })
		rotated := func() certtest.Cert {
			c := e.ca.Issue(certtest.Spec{DNS: []string{"one.test"}})
			e.ca.Write(e.dir, "one", c) // one file after the other, in any order
			return c
		}
		for range 20 {
			c := rotated()
			e.eventually("the new certificate", func() bool { s := l.shown.Load(); return t.Failed() || s != nil && s.Cmp(c.Serial) == 0 })
		}
		last := l.shown.Load()
		key := filepath.Join(e.dir, "one.key")
		certtest.Replace(t, key, e.ca.Issue(certtest.Spec{}).Key)
		e.eventually("Envoy to say what does not fit", func() bool { return strings.Contains(e.envoy.Logs(), "KEY_VALUES_MISMATCH") })
		asked := l.asked.Load()
		e.eventually("more requests", func() bool { return l.asked.Load() > asked+200 || t.Failed() })
		if s := l.shown.Load(); s.Cmp(last) != 0 {
			t.Errorf("with a key of another certificate %d is shown, not %d", s, last)
		}
		c := rotated()
		e.eventually("the certificate after the one that does not fit", func() bool { return t.Failed() || l.shown.Load().Cmp(c.Serial) == 0 })
		l.end()
	})
}

// TestWaysToReplaceFiles: a link that is switched, as volumes of Kubernetes are, is as good as a file that is moved. What is written in place is
// not seen until something is moved in the directory.
func TestWaysToReplaceFiles(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "", "")
		shown := func() *big.Int {
			c, err := e.connect(e.client("one.test"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.shown()
		}
		becomes := func(what string, c certtest.Cert) {
			t.Helper()
			e.eventually(what, func() bool { return shown().Cmp(c.Serial) == 0 })
		}
		issue := func() certtest.Cert { return e.ca.Issue(certtest.Spec{DNS: []string{"one.test"}}) }

		for _, volume := range []string{"v1", "v2"} { // one.pem → ..data/one.pem, ..data → v1, then v2
			c, dir := issue(), filepath.Join(e.dir, volume)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			e.ca.Write(dir, "one", c)
			link(t, volume, filepath.Join(e.dir, "..data"))
			if volume == "v1" {
				link(t, "..data/one.pem", filepath.Join(e.dir, "one.pem"))
				link(t, "..data/one.key", filepath.Join(e.dir, "one.key"))
			}
			becomes("the certificate of "+volume, c)
		}

		before, c := shown(), issue()
		for name, data := range map[string][]byte{"one.pem": c.PEM, "one.key": c.Key} {
			if err := os.WriteFile(filepath.Join(e.dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			if got := shown(); got.Cmp(before) != 0 {
				t.Fatal("what was written in place is shown: the page says that it is not")
			}
		}
		certtest.Replace(t, filepath.Join(e.dir, "anything"), nil)
		becomes("what was written in place", c)
	})
}

// link makes a link at once, in place of what is there.
func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestAuthorityRotatedUnderLoad: an origin changes to a certificate of another authority as one does it: first both authorities are trusted, then the
// certificate changes, then the old authority goes. No request fails, and then the old one's certificates do not count any more.
func TestAuthorityRotatedUnderLoad(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newOriginLab(t, version)
		next := certtest.New(t, "next")
		ofOld, ofNext := issue(t, e.ca, certtest.Spec{DNS: []string{"pay.internal"}}), issue(t, next, certtest.Spec{DNS: []string{"pay.internal"}})
		e.show("old", ofOld) // two origins beside show what the proxy believes
		e.show("next", ofNext)
		believes := func(old, next int) func() bool {
			return func() bool {
				return e.get("pay.test", "/", "x-origin: old").StatusCode == old && e.get("pay.test", "/", "x-origin: next").StatusCode == next
			}
		}
		file := filepath.Join(e.dir, "pay.ca.pem")
		l := loadOn(t, func() (*connection, error) { return plainTo(e.address) })
		e.eventually("the first authority alone to be believed", believes(200, 503))
		certtest.Replace(t, file, append(append([]byte{}, e.ca.PEM...), next.PEM...))
		e.eventually("both authorities to be believed", believes(200, 200))
		e.show("a", ofNext)
		certtest.Replace(t, file, next.PEM)
		e.eventually("the next authority alone to be believed", believes(503, 200))
		asked := l.asked.Load()
		e.eventually("more requests", func() bool { return l.asked.Load() > asked+200 || t.Failed() })
		certtest.Replace(t, file, []byte("nothing"))
		e.eventually("Envoy to say that these are none", func() bool { return strings.Contains(e.envoy.Logs(), "Failed to load trusted CA certificates") })
		e.eventually("the next authority to be believed all the same", believes(503, 200))
		l.end()
	})
}

// TestCertificateShownToOrigins: origins that ask for it are shown a certificate, and the next one once that is in the file.
func TestCertificateShownToOrigins(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newOriginLab(t, version)
		shown := func(want string) func() bool {
			return func() bool { return e.get("pay.test", "/").body == want }
		}
		e.eventually("the certificate", shown("first"))
		e.ca.Write(e.dir, "proxy", e.ca.Issue(certtest.Spec{Name: "second"}))
		e.eventually("the next certificate", shown("second"))
	})
}

// TestFromClearTextToTLS: a port that was served in clear text is served by TLS, and back. Connections that are there go on as they are until they
// are done.
func TestFromClearTextToTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "", "")
		host, _, err := net.SplitHostPort(e.address)
		if err != nil {
			t.Fatal(err)
		}
		secure, clear := *e.intent.fleet(), policy.Fleet{Name: policy.DefaultFleet}
		set := func(f *policy.Fleet) {
			e.ads.SetStructure(translate.Build(f, e.intent.services, translate.Options{}), host)
			e.ads.AwaitAcked(t)
		}
		dials := map[string]func() (*connection, error){
			"TLS": func() (*connection, error) { return e.connect(e.client("one.test")) }, "clear text": func() (*connection, error) { return plainTo(e.address) },
		}
		served := func(by string) func() bool {
			return func() bool {
				c, err := dials[by]()
				if err != nil {
					return false
				}
				defer c.Close()
				status, _, err := c.ask()
				return err == nil && status == 200
			}
		}
		before := "TLS"
		for _, step := range []struct {
			fleet  *policy.Fleet
			served string
		}{{&clear, "clear text"}, {&secure, "TLS"}} {
			old, err := dials[before]()
			if err != nil {
				t.Fatal(err)
			}
			set(step.fleet)
			e.eventually("the port to be served by "+step.served, served(step.served))
			if served(before)() {
				t.Errorf("new connections are still served by %s", before)
			}
			if status, _, err := old.ask(); err != nil || status != 200 {
				t.Errorf("a connection by %s that was there before: %d %v", before, status, err)
			}
			before = step.served
		}
	})
}
