package policy_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func edge(listeners ...*crossfadev1.FleetListener) *crossfadev1.Fleet {
	return &crossfadev1.Fleet{ApiVersion: "crossfade/v1", Kind: "Fleet", Name: "edge", Listeners: listeners}
}

func pair(name string) *crossfadev1.KeyPair {
	return &crossfadev1.KeyPair{CertificateFile: "/etc/tls/" + name + ".pem", KeyFile: "/etc/tls/" + name + ".key"}
}

func secure(port int32, certificates ...*crossfadev1.KeyPair) *crossfadev1.FleetListener {
	return &crossfadev1.FleetListener{Port: port, Tls: &crossfadev1.ListenerTls{Certificates: certificates}}
}

func TestListenersOfAFleet(t *testing.T) {
	strict := secure(11443, pair("a"))
	strict.Tls.ClientCaFile, strict.Tls.MinVersion = "/etc/tls/clients.pem", "1.3"
	doc := edge(secure(10443, pair("a"), pair("b")), strict)
	doc.ProxyProtocol = true // an NLB says whose connection it is before TLS begins
	f, errs := policy.CompileFleet(doc)
	if errs != nil {
		t.Fatal(errs)
	}
	a, b := policy.KeyPair{CertificateFile: "/etc/tls/a.pem", KeyFile: "/etc/tls/a.key"}, policy.KeyPair{CertificateFile: "/etc/tls/b.pem", KeyFile: "/etc/tls/b.key"}
	want := map[int]*policy.ListenerTLS{
		10443: {Certificates: []policy.KeyPair{a, b}, MinVersion: "1.2"}, 11443: {Certificates: []policy.KeyPair{a}, ClientCAFile: "/etc/tls/clients.pem", MinVersion: "1.3"},
	}
	if !reflect.DeepEqual(f.TLS, want) {
		t.Errorf("%+v", f.TLS)
	}
}

// TestBadListeners: each mistake is one error, at the field where it is.
func TestBadListeners(t *testing.T) {
	with := func(change func(*crossfadev1.ListenerTls)) *crossfadev1.Fleet {
		l := secure(10443, pair("a"))
		change(l.Tls)
		return edge(l)
	}
	files := func(certificate, key string) *crossfadev1.Fleet {
		return edge(secure(10443, pair("a"), &crossfadev1.KeyPair{CertificateFile: certificate, KeyFile: key}))
	}
	var ports []*crossfadev1.FleetListener
	for i := range int32(policy.MaxListeners + 1) {
		ports = append(ports, secure(1+i, pair("a")))
	}
	var pairs []*crossfadev1.KeyPair
	for i := range policy.MaxCertificates + 1 {
		pairs = append(pairs, pair(fmt.Sprint(i)))
	}
	for _, c := range []struct {
		what        string
		doc         *crossfadev1.Fleet
		code, field string
	}{
		{"no port", edge(secure(0, pair("a"))), "port_range", "listeners[0].port"},
		{"a port that is none", edge(secure(65536, pair("a"))), "port_range", "listeners[0].port"},
		{"a port twice", edge(secure(1, pair("a")), secure(2, pair("a")), secure(1, pair("b"))), "port_duplicate", "listeners[2].port"},
		{"no TLS", edge(&crossfadev1.FleetListener{Port: 10443}), "tls_missing", "listeners[0].tls"},
		{"no certificate", edge(secure(10443)), "certificates_missing", "listeners[0].tls.certificates"},
		{"an empty certificate", files("", ""), "file_missing", "listeners[0].tls.certificates[1]"},
		{"a key alone", files("", "/a.key"), "file_missing", "listeners[0].tls.certificates[1].certificateFile"},
		{"a certificate alone", files("/a.pem", ""), "file_missing", "listeners[0].tls.certificates[1].keyFile"},
		{"a certificate beside the working directory", files("a.pem", "/a.key"), "file_invalid", "listeners[0].tls.certificates[1].certificateFile"},
		{"a key beside the working directory", files("/a.pem", "./a.key"), "file_invalid", "listeners[0].tls.certificates[1].keyFile"},
		{"a line in a path", files("/a\n.pem", "/a.key"), "file_invalid", "listeners[0].tls.certificates[1].certificateFile"},
		{"a path that is too long", files("/"+strings.Repeat("a", policy.MaxForeignBytes), "/a.key"), "file_invalid", "listeners[0].tls.certificates[1].certificateFile"},
		{"a certificate twice", edge(secure(10443, pair("a"), pair("b"), pair("a"))), "certificate_duplicate", "listeners[0].tls.certificates[2].certificateFile"},
		{"authorities beside the working directory", with(func(d *crossfadev1.ListenerTls) { d.ClientCaFile = "ca.pem" }), "file_invalid", "listeners[0].tls.clientCaFile"},
		{"an old version", with(func(d *crossfadev1.ListenerTls) { d.MinVersion = "1.1" }), "version_unknown", "listeners[0].tls.minVersion"},
		{"too many ports", edge(ports...), "too_many", "listeners"},
		{"too many certificates", edge(secure(10443, pairs...)), "too_many", "listeners[0].tls.certificates"},
	} {
		f, errs := policy.CompileFleet(c.doc)
		if f != nil || len(errs) != 1 || errs[0].Code != c.code || errs[0].Field != c.field {
			t.Errorf("%s: %v", c.what, errs)
		}
	}
}

func TestCertificateShownToAnOrigin(t *testing.T) {
	for _, c := range []struct {
		what, certificate, key string
		code, field            string // empty: allowed
	}{
		{"none", "", "", "", ""},
		{"both", "/etc/tls/a.pem", "/etc/tls/a.key", "", ""},
		{"in one file", "/etc/tls/a.pem", "/etc/tls/a.pem", "", ""},
		{"a certificate alone", "/etc/tls/a.pem", "", "file_missing", "origins[0].tls.keyFile"},
		{"a key alone", "", "/etc/tls/a.key", "file_missing", "origins[0].tls.certificateFile"},
		{"beside the working directory", "a.pem", "/a.key", "file_invalid", "origins[0].tls.certificateFile"},
	} {
		for _, skip := range []bool{false, true} { // who is believed and who we are have nothing to do with each other
			doc := live()
			doc.Origins[0].Tls = &crossfadev1.Tls{ServerName: "a.internal", InsecureSkipVerify: skip, CertificateFile: c.certificate, KeyFile: c.key}
			s, errs := policy.CompileService(doc)
			if c.code != "" {
				if len(errs) != 1 || errs[0].Code != c.code || errs[0].Field != c.field {
					t.Errorf("%s: %v", c.what, errs)
				}
				continue
			}
			if errs != nil {
				t.Errorf("%s: %v", c.what, errs)
				continue
			}
			var want *policy.KeyPair
			if c.certificate != "" {
				want = &policy.KeyPair{CertificateFile: c.certificate, KeyFile: c.key}
			}
			if got := s.Origins[0].TLS.Show; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v", c.what, got)
			}
		}
	}
}
