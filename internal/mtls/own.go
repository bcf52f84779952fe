package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Name is that by which a client can know who has the certificate: a DNS name, an IP address or a SPIFFE id.
func (k *Keeper) Name() (string, error) { return k.current.Load().name() }

func (m *material) name() (string, error) {
	leaf := m.cert.Leaf
	switch {
	case len(leaf.DNSNames) > 0 && !strings.HasPrefix(leaf.DNSNames[0], "*"):
		return leaf.DNSNames[0], nil
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String(), nil
	case len(leaf.URIs) == 1:
		return leaf.URIs[0].String(), nil
	}
	return "", fmt.Errorf("it names no host, no address and no SPIFFE id by which a client could know the server")
}

// CheckOwn says whether the certificate is good towards the authorities of its own files, for servers and for clients: it is for processes that talk
// to themselves. It returns [Keeper.Name].
func (k *Keeper) CheckOwn() (name string, err error) { return k.current.Load().checkOwn(k.now()) }

func (m *material) checkOwn(now time.Time) (name string, err error) {
	chain, err := certificatesOf(m.cert)
	if err != nil {
		return "", err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := m.again(chain, usage, now); err != nil {
			return "", plain(err)
		}
	}
	return m.name()
}

// Hold refuses certificates from now on with which the process could not go on: of another [Keeper.Name] than now, by which others know it until it is
// started anew, and for one that talks to itself, those that [Keeper.CheckOwn] refuses.
func (k *Keeper) Hold(own bool) {
	k.reading.Lock()
	defer k.reading.Unlock()
	k.own = own
	k.name, _ = k.Name() // nobody knows it by a name that it has not
}

// fits says whether the process can go on with a certificate. Where that has not changed, what there is to be believed of others counts all the same: a
// list of revoked certificates must not wait. k.reading is held.
func (k *Keeper) fits(m *material) error {
	var err error
	if k.own {
		if _, err = m.checkOwn(k.now()); err != nil {
			err = fmt.Errorf("the certificate does not do for a server that talks to itself: %w", err)
		}
	}
	if slices.EqualFunc(m.cert.Certificate, k.current.Load().cert.Certificate, bytes.Equal) {
		if err != nil {
			k.log.Error("this server's own certificate is good no more towards its own files: nobody compares until it has another", "error", err)
		}
		return nil
	}
	if name, _ := m.name(); err == nil && k.name != "" && name != k.name {
		err = fmt.Errorf("the certificate is of %q, and others know this process as %q until it is started anew", name, k.name)
	}
	return err
}

func certificatesOf(c tls.Certificate) (out []*x509.Certificate, err error) {
	for _, der := range c.Certificate {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, plain(err)
		}
		out = append(out, x)
	}
	return out, nil
}
