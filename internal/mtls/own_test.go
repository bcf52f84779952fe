package mtls

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

// TestACertificateThatTheProcessCannotGoOnWithIsNotTaken: of another name, or of no use to who talks to itself.
func TestACertificateThatTheProcessCannotGoOnWithIsNotTaken(t *testing.T) {
	stranger := certtest.New(t, "stranger")
	both := certtest.Spec{DNS: []string{"localhost", "control.test"}}
	for _, c := range []struct {
		name  string
		own   bool
		by    *certtest.CA // nil: the authority of the files
		spec  certtest.Spec
		wants string // empty: it is taken
	}{
		{"of the same name", true, nil, both, ""},
		{"of another first name", true, nil, certtest.Spec{DNS: []string{"control.test", "localhost"}}, `of "control.test"`},
		{"of another first name, alone", false, nil, certtest.Spec{DNS: []string{"control.test", "localhost"}}, `of "control.test"`},
		{"without a name", false, nil, certtest.Spec{DNS: []string{"*.test"}}, `of ""`},
		{"for servers only", true, nil, certtest.Spec{DNS: both.DNS, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, "talks to itself"},
		{"for servers only, alone", false, nil, certtest.Spec{DNS: both.DNS, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ""},
		{"of another authority", true, stranger, both, "talks to itself"},
		{"of another authority, alone", false, stranger, both, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.keeper.Hold(c.own)
			serial := func() string { return w.keeper.current.Load().cert.Leaf.SerialNumber.String() }
			before, by := serial(), c.by
			if by == nil {
				by = w.ca
			}
			put := func(next certtest.Cert) error {
				certtest.Replace(t, w.files.Cert, next.PEM)
				certtest.Replace(t, w.files.Key, next.Key)
				return w.keeper.Reload()
			}
			next := by.Issue(c.spec)
			err := put(next)
			if c.wants == "" {
				if err != nil || serial() != next.Serial.String() {
					t.Errorf("it was not taken: %v", err)
				}
				return
			}
			var bad *FileError
			if !errors.As(err, &bad) || bad.Path != w.files.Cert || !strings.Contains(err.Error(), c.wants) || serial() != before || w.keeper.State().Bad == nil {
				t.Errorf("%v, want an error of %s with %q", err, w.files.Cert, c.wants)
			}
			last := w.ca.Issue(both)
			if err := put(last); err != nil || serial() != last.Serial.String() || w.keeper.State().Bad != nil {
				t.Errorf("what is good after it is not taken: %v", err)
			}
		})
	}
}

// TestARevocationOfTheOwnCertificateHoldsBackNoOther: what others have shown must not stay good because of it.
func TestARevocationOfTheOwnCertificateHoldsBackNoOther(t *testing.T) {
	w := newWorld(t)
	w.keeper.Hold(true)
	eve := w.ca.Issue(certtest.Spec{Name: "eve"})
	if err := w.ask(&eve); err != nil {
		t.Fatal(err)
	}
	own := certtest.Cert{Serial: w.keeper.current.Load().cert.Leaf.SerialNumber}
	certtest.Replace(t, w.files.CRL, w.ca.Revoke(own, eve))
	if err := w.keeper.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := w.ask(&eve); err == nil {
		t.Error("who was revoked is let in")
	}
	if !strings.Contains(w.log.String(), "own certificate is good no more") {
		t.Errorf("the log says nothing of its own:\n%s", w.log)
	}
}
