package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBootstrapZone: a zone is in the bootstrap that is given one, and in no other.
func TestBootstrapZone(t *testing.T) {
	const line = `  locality: {zone: "eu-central-1a"}`
	if r := offline(t, "", "bootstrap", "--node-id", "a", "--zone", "eu-central-1a"); r.exit != 0 || !strings.Contains(r.out, line) {
		t.Errorf("%d %s\n%s", r.exit, r.err, r.out)
	}
	if r := offline(t, "", "bootstrap", "--node-id", "a"); r.exit != 0 || strings.Contains(r.out, "locality") {
		t.Errorf("%d %s\n%s", r.exit, r.err, r.out)
	}
	if r := offline(t, "", "bootstrap", "--node-id", "a", "--zone", "a b"); r.exit == 0 || !strings.Contains(r.err, "--zone") {
		t.Errorf("%d %s", r.exit, r.err)
	}
}

// TestBootstrapTLS: with TLS it is three files, of which each names what is on the proxy's host, and mistakes name a flag.
func TestBootstrapTLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	files := []string{"--tls-ca", "/tls/ca.crt", "--tls-cert", "/tls/tls.crt", "--tls-key", "/tls/tls.key"}
	with := func(more ...string) []string {
		return append(append([]string{"bootstrap", "--node-id", "a", "--xds", "control.example.test:18000"}, files...), more...)
	}
	if r := offline(t, "", with("--out", dir)...); r.exit != 0 || r.out != "" || !strings.Contains(r.err, filepath.Join(dir, "bootstrap.yaml")) {
		t.Fatalf("%d %s\n%s", r.exit, r.err, r.out)
	}
	for name, wants := range map[string][]string{
		"bootstrap.yaml":       {dir + "/xds-certificate.yaml", dir + "/xds-authority.yaml", `{san_type: DNS, matcher: {exact: "control.example.test"}}`, `sni: "control.example.test"`, `crossfade.tls_key: "/tls/tls.key"`},
		"xds-certificate.yaml": {`"/tls/tls.crt"`, `"/tls/tls.key"`},
		"xds-authority.yaml":   {`"/tls/ca.crt"`},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %s:\n%s", name, want, b)
			}
		}
	}
	if r := offline(t, "", with("--out", dir, "--secrets-dir", "/etc/crossfade", "--tls-server-name", "spiffe://example.test/control")...); r.exit != 0 {
		t.Fatalf("%d %s", r.exit, r.err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "bootstrap.yaml"))
	if err != nil || !strings.Contains(string(b), `"/etc/crossfade/xds-certificate.yaml"`) || !strings.Contains(string(b), `{san_type: URI, matcher: {exact: "spiffe://example.test/control"}}`) {
		t.Errorf("%v\n%s", err, b)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{with(), "--out"},
		{append(with("--out", dir), "--tls-key", "tls.key"), "--tls-key"},
		{append(with("--out", dir), "--tls-ca", ""), "--tls-ca"},
		{append(with("--out", dir), "--secrets-dir", "etc"), "--secrets-dir"},
		{append(with("--out", dir), "--experiment-address", "0.0.0.0:1"), "--experiment-address"},
		{[]string{"bootstrap", "--node-id", "a", "--tls-server-name", "x"}, "--tls-server-name"},
	} {
		if r := offline(t, "", c.args...); r.exit != 2 || !strings.Contains(r.err, c.want) {
			t.Errorf("%v: %d %s", c.args, r.exit, r.err)
		}
	}
}
