package hook_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/dnstest"
	"github.com/crossfade-proxy/crossfade/pkg/hook"
)

func allowing(t testing.TB, allow ...string) *hook.Hooks {
	t.Helper()
	h, err := hook.New(hook.Config{Allow: allow, Key: key(t)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAllowedBySegments(t *testing.T) {
	h := allowing(t, "https://hooks.test/a", "https://Whole.test", "https://port.test:8443/b/", "http://127.0.0.1:9/", "http://localhost:9/in")
	for u, ok := range map[string]bool{
		"https://hooks.test/a":             true,
		"https://hooks.test/a/":            true,
		"https://hooks.test/a/b":           true,
		"https://HOOKS.test:443/a/b?x=1/2": true,
		"https://whole.test":               true,
		"https://whole.test/x-_.~/y":       true,
		"https://port.test:8443/b/c":       true,
		"http://127.0.0.1:9/x":             true,
		"http://localhost:9/in/x":          true,

		"":                                    false,
		"https://hooks.test/ab":               false,
		"https://hooks.test/A":                false,
		"https://hooks.test":                  false,
		"https://hooks.test/":                 false,
		"https://hooks.test/a/../b":           false,
		"https://hooks.test/a/./b":            false,
		"https://hooks.test/a//b":             false,
		"https://whole.test//":                false,
		"https://hooks.test/a/..;/b":          false,
		"https://hooks.test/a/%2e%2e/b":       false,
		"https://hooks.test/a%2fb":            false,
		"https://hooks.test/%61":              false,
		`https://hooks.test/a\..\b`:           false,
		"https://hooks.test/a/ä":              false,
		"http://hooks.test/a":                 false,
		"https://hooks.test:8443/a":           false,
		"https://hooks.test.evil.test/a":      false,
		"https://hooks.test./a":               false,
		"https://ann:hush@hooks.test/a":       false,
		"https://hooks.test@evil.test/a":      false,
		`https://evil.test\@hooks.test/a`:     false,
		"https://hooks.test/a#x":              false,
		"https://hooks.test/a#":               false,
		"//hooks.test/a":                      false,
		"https:hooks.test/a":                  false,
		"ftp://hooks.test/a":                  false,
		" https://hooks.test/a":               false,
		"https://hooks.test/a\n":              false,
		"http://127.1:9/x":                    false,
		"http://127.0.0.1:10/x":               false,
		"https://[fe80::1%25lo]/a":            false,
		"https://port.test/b/c":               false,
		"https://169.254.169.254/latest/meta": false,
	} {
		err := h.Allowed(u)
		if (err == nil) != ok {
			t.Errorf("%q: %v", u, err)
		}
		if c, says := code(err); !ok && (c != "hook_not_allowed" || strings.Contains(says, "hush") || says == "") {
			t.Errorf("%q: %s %s", u, c, says)
		}
	}
}

func TestNothingAllowedIsNothing(t *testing.T) {
	h, err := hook.New(hook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{h.Allowed("https://hooks.test/"), h.Ask(t.Context(), "https://hooks.test/", event())} {
		if _, says := code(err); !strings.Contains(says, "allow no webhooks") {
			t.Errorf("got %v", err)
		}
	}
}

func TestRefusalNamesWhatIsAllowed(t *testing.T) {
	_, says := code(allowing(t, "https://a.test", "https://b.test", "https://c.test", "https://d.test", "https://e.test", "https://f.test").Allowed("https://x.test/"))
	if !strings.Contains(says, "https://a.test") || !strings.Contains(says, "and 1 more") || strings.Contains(says, "f.test") {
		t.Error(says)
	}
}

func TestBadSettings(t *testing.T) {
	for _, allow := range []string{"", "hooks.test", "http://hooks.test/", "https://hooks.test/?x", "https://hooks.test/a?", "https://a:b@hooks.test/", "https://hooks.test/../", "https://169.254.169.254/"} {
		if _, err := hook.New(hook.Config{Allow: []string{allow}, Key: key(t)}); err == nil {
			t.Errorf("%q is taken", allow)
		} else if c, says := code(err); c != "hook_url" || !strings.Contains(says, "hooks.allow[0]") {
			t.Errorf("%q: %v", allow, err)
		}
	}
	if _, err := hook.New(hook.Config{Allow: []string{"https://hooks.test/"}}); err == nil {
		t.Error("no key is taken")
	}
}

// TestNameThatLeadsInside: whoever rules a name can make it lead to where clouds hand out credentials.
func TestNameThatLeadsInside(t *testing.T) {
	dns := dnstest.Start(t)
	for name, addr := range map[string]string{
		"meta.test": "169.254.169.254", "six.test": "fe80::1", "aws.test": "fd00:ec2::254", "mapped.test": "::ffff:169.254.169.254",
		"nat.test": "64:ff9b::a9fe:a9fe", "none.test": "0.0.0.0", "none6.test": "::", "ali.test": "100.100.100.200", "azure.test": "168.63.129.16", "all.test": "224.0.0.1",
	} {
		dns.Set(name, dnstest.Addresses(time.Minute, netip.MustParseAddr(addr)))
		h, err := hook.New(hook.Config{Allow: []string{"https://" + name}, Key: key(t), Resolver: resolver(dns)})
		if err != nil {
			t.Fatal(err)
		}
		if c, says := code(h.Ask(t.Context(), "https://"+name+"/", event())); c != "hook_not_allowed" {
			t.Errorf("%s: %s %s", name, c, says)
		}
		h.Close()
	}
}

// TestNameThatLeadsToTheReceiver: the same way, for the good.
func TestNameThatLeadsToTheReceiver(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	dns := dnstest.Start(t)
	dns.Set("example.com", dnstest.Addresses(time.Minute, netip.MustParseAddr("169.254.0.1"), netip.MustParseAddr("127.0.0.1"))) // the name of the certificate
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	named := "https://example.com:" + u.Port() + "/in"
	h := hooks(t, r, func(c *hook.Config) { c.Allow, c.Resolver = []string{named}, resolver(dns) })
	if err := h.Ask(t.Context(), named, event()); err != nil || len(r.got()) != 1 {
		t.Errorf("got %v", err)
	}
}

func resolver(s *dnstest.Server) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.Addr.String())
	}}
}

// FuzzAllowed: what is allowed is below what was allowed, also by another reading: that of the request which would be sent.
func FuzzAllowed(f *testing.F) {
	for _, u := range []string{"https://hooks.test/a", "https://hooks.test/a/b?x", "https://hooks.test/a/../b", "https://hooks.test/a%2f..", "https://u@hooks.test/a", "https://hooks.test:443/a/", `https://hooks.test\a`, "http://localhost/", "https://[::1]/a"} {
		f.Add(u)
	}
	h := allowing(f, "https://hooks.test/a")
	f.Fuzz(func(t *testing.T, u string) {
		if h.Allowed(u) != nil {
			return
		}
		req, err := http.NewRequest(http.MethodPost, u, nil)
		if err != nil {
			t.Fatalf("%q is allowed and cannot be asked: %v", u, err)
		}
		sent, _, _ := strings.Cut(req.URL.RequestURI(), "?")
		if req.URL.Scheme != "https" || strings.TrimSuffix(strings.ToLower(req.Host), ":443") != "hooks.test" && strings.ToLower(req.Host) != "hooks.test:" ||
			sent != "/a" && !strings.HasPrefix(sent, "/a/") || req.URL.User != nil || strings.Contains(sent, "..") && strings.Contains(sent+"/", "/../") {
			t.Errorf("%q asks %s for %s", u, req.Host, sent)
		}
	})
}
