package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
)

func TestNamesOfCertificates(t *testing.T) {
	uris := func(texts ...string) (out []*url.URL) {
		for _, text := range texts {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, u)
		}
		return out
	}
	cn := pkix.Name{CommonName: "ann"}
	for name, c := range map[string]struct {
		cert x509.Certificate
		want string // empty: refused
	}{
		"SPIFFE id before all":  {x509.Certificate{URIs: uris("spiffe://example.test/ci/orders"), DNSNames: []string{"a.test"}, Subject: cn}, "spiffe://example.test/ci/orders"},
		"DNS name before CN":    {x509.Certificate{DNSNames: []string{"a.test", "b.test"}, Subject: cn}, "a.test"},
		"common name":           {x509.Certificate{Subject: cn}, "ann"},
		"mail address":          {x509.Certificate{Subject: pkix.Name{CommonName: "ann@example.test"}}, "ann@example.test"},
		"SPIFFE id as CN":       {x509.Certificate{Subject: pkix.Name{CommonName: "spiffe://e.test/admin"}}, ""},
		"SPIFFE id as DNS name": {x509.Certificate{DNSNames: []string{"spiffe://e.test/admin"}, Subject: cn}, ""},
		"DNS name as CN":        {x509.Certificate{Subject: pkix.Name{CommonName: "a.proxies.test"}}, ""},
		"no name":               {x509.Certificate{}, ""},
		"two URIs":              {x509.Certificate{URIs: uris("spiffe://a.test/x", "spiffe://a.test/y"), Subject: cn}, ""},
		"another URI":           {x509.Certificate{URIs: uris("https://a.test/x"), Subject: cn}, ""},
		"no path":               {x509.Certificate{URIs: uris("spiffe://a.test"), Subject: cn}, ""},
		"empty segment":         {x509.Certificate{URIs: uris("spiffe://a.test/a//b"), Subject: cn}, ""},
		"relative segment":      {x509.Certificate{URIs: uris("spiffe://a.test/ci/../admin"), Subject: cn}, ""},
		"encoded slash":         {x509.Certificate{URIs: uris("spiffe://a.test/ci%2Fadmin"), Subject: cn}, ""},
		"port":                  {x509.Certificate{URIs: uris("spiffe://a.test:80/ci"), Subject: cn}, ""},
		"query":                 {x509.Certificate{URIs: uris("spiffe://a.test/ci?x"), Subject: cn}, ""},
		"line feed in the name": {x509.Certificate{Subject: pkix.Name{CommonName: "ann\nroot"}}, ""},
		"too long":              {x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("a", MaxBytes+1)}}, ""},
	} {
		got, err := Of(&c.cert)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"ann", "ann", true},
		{"ann", "anna", false},
		{"spiffe://e.test/ci/*", "spiffe://e.test/ci/orders", true},
		{"spiffe://e.test/ci/*", "spiffe://e.test/ci/a/b", true},
		{"spiffe://e.test/ci/*", "spiffe://e.test/ci/", false},
		{"spiffe://e.test/ci/*", "spiffe://e.test/ci", false},
		{"spiffe://e.test/ci/*", "spiffe://e.test/cia/x", false},
		{"spiffe://e.test/*", "spiffe://e.test.evil/x", false},
		{"*.proxies.test", "a.proxies.test", true},
		{"*.proxies.test", "proxies.test", false},
		{"*.proxies.test", "ann@a.proxies.test", false},
		{"*.proxies.test", "spiffe://x/a.proxies.test", false},
	} {
		if err := Pattern(c.pattern).Check(); err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		}
		if got := Pattern(c.pattern).Matches(c.name); got != c.want {
			t.Errorf("%s means %s: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	for _, bad := range []string{"", "*", "a*", "/*", "*.", "a b", "spiffe://e.test/*/x", "ann/*", "*.a/b", "spiffe://*", "spiffe:///*", strings.Repeat("a", MaxBytes+1)} {
		if Pattern(bad).Check() == nil {
			t.Errorf("%q passes as a pattern", bad)
		}
	}
}
