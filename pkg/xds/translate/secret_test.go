package translate_test

import (
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// FuzzSecret: whatever name a proxy asks for, it gets a secret of that name or none.
func FuzzSecret(f *testing.F) {
	for _, name := range []string{"", "pair|/a.pem|/a.key", "ca|/ca.pem", "pair|/a%7C%25.pem|/a.key", "pair|/a.pem", "ca|", "pair||", "other|/a", "ca|/a|/b", "ca|\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r, ok := translate.Secret(name)
		if !ok {
			return
		}
		s := &tlsv3.Secret{}
		if err := r.Body.UnmarshalTo(s); err != nil || s.GetName() != name || r.Name != name || s.GetType() == nil {
			t.Errorf("%q: %v %v", name, s, err)
		}
	})
}

func TestSecretsSayTheirFiles(t *testing.T) {
	for _, c := range []struct{ name, certificate, key, ca string }{
		{"pair|/etc/tls/a.pem|/etc/tls/a.key", "/etc/tls/a.pem", "/etc/tls/a.key", ""},
		{"pair|/a%7Cb%25|/a%257C", "/a|b%", "/a%7C", ""},
		{"ca|/etc/ssl/ca.pem", "", "", "/etc/ssl/ca.pem"},
	} {
		r, ok := translate.Secret(c.name)
		s := &tlsv3.Secret{}
		if !ok || r.Body.UnmarshalTo(s) != nil {
			t.Fatal(c.name)
		}
		p, v := s.GetTlsCertificate(), s.GetValidationContext()
		if p.GetCertificateChain().GetFilename() != c.certificate || p.GetPrivateKey().GetFilename() != c.key || v.GetTrustedCa().GetFilename() != c.ca {
			t.Errorf("%s: %v", c.name, s)
		}
	}
	for _, name := range []string{"", "pair", "pair|/a", "pair|/a|", "pair|/a|/b|/c", "ca|", "ca|/a|/b", "file|/a", strings.Repeat("|", 100), "ca|/" + strings.Repeat("a", 4000)} {
		if r, ok := translate.Secret(name); ok {
			t.Errorf("%q: %v", name, r)
		}
	}
}

// TestOddPaths: a path is what it was, whatever is in it.
func TestOddPaths(t *testing.T) {
	docs := strings.ReplaceAll(edgeService, "PORT", "10443") + `---
{apiVersion: crossfade/v1, kind: Fleet, name: default, listeners: [{port: 10443, tls: {certificates: [{certificateFile: "/a|b%7C é.pem", keyFile: "/%25|"}]}}]}
`
	in := compile(t, "odd", []byte(docs))
	text := string(text(t, map[string][]translate.Resource{"l": translate.Build(in.fleet(), in.services, translate.Options{}).Listeners("127.0.0.1", "")}))
	i := strings.Index(text, "pair|")
	if i < 0 {
		t.Fatal(text)
	}
	name, _, _ := strings.Cut(text[i:], "\n")
	r, ok := translate.Secret(name)
	s := &tlsv3.Secret{}
	if !ok || r.Body.UnmarshalTo(s) != nil || s.GetTlsCertificate().GetCertificateChain().GetFilename() != "/a|b%7C é.pem" || s.GetTlsCertificate().GetPrivateKey().GetFilename() != "/%25|" {
		t.Errorf("%q: %v", name, s)
	}
}
