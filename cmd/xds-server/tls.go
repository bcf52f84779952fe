package main

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// tlsFiles returns the flags of TLS that come together, with their values.
func (c *config) tlsFiles() []struct{ flag, value string } {
	return []struct{ flag, value string }{{"--tls-cert", c.tls.Cert}, {"--tls-key", c.tls.Key}, {"--tls-client-ca", c.tls.CA}}
}

// secure says whether the server speaks TLS.
func (c *config) secure() bool { return c.tls.Cert != "" && c.tls.Key != "" && c.tls.CA != "" }

// checkTLS wants all of the files or none, and then --dev.
func (c *config) checkTLS() policy.Errors {
	var found policy.Errors
	given, missing := "", []string{}
	for _, f := range c.tlsFiles() {
		if f.value == "" {
			missing = append(missing, f.flag)
		} else {
			given = f.flag
		}
	}
	switch {
	case given == "" && c.tls.CRL != "":
		found = append(found, invalid("tls_incomplete", "--tls-crl", c.tls.CRL, "is of no use without TLS", "add --tls-cert, --tls-key and --tls-client-ca"))
	case given == "" && !c.dev:
		found = append(found, invalid("dev_needed", "--dev", "", "is missing: without TLS anybody who reaches the server may do everything, so that it serves loopback addresses only and wants to be told that this is what you mean",
			"add --tls-cert, --tls-key and --tls-client-ca: docs/tls.md; or --dev to try things on this machine"))
	case given != "" && c.dev:
		found = append(found, invalid("dev_with_tls", "--dev", "true", "is to serve without TLS, and "+given+" is to serve with it", "leave one of them out"))
	}
	if given != "" {
		for _, flag := range missing {
			found = append(found, invalid("tls_incomplete", flag, "", "is missing: "+given+" needs it", "give --tls-cert, --tls-key and --tls-client-ca together"))
		}
	}
	return found
}

// flagOf is the flag of a file.
func (c *config) flagOf(path string) string {
	for _, f := range c.tlsFiles() {
		if f.value == path {
			return f.flag
		}
	}
	return "--tls-crl"
}

// openTLS reads the files; nil without TLS.
func (c *config) openTLS(log *slog.Logger) (*mtls.Keeper, error) {
	if !c.secure() {
		return nil, nil
	}
	k, err := mtls.Open(c.tls, log)
	var bad *mtls.FileError
	if errors.As(err, &bad) {
		return nil, &policy.Error{Kind: policy.Unavailable, Code: "bad_tls_file", Field: c.flagOf(bad.Path), Value: bad.Path, Message: bad.Err.Error(), Next: "docs/tls.md says what is needed in each file"}
	}
	if err != nil {
		return nil, err
	}
	own := c.role != roleComparator && c.comparatorChild
	k.Hold(own)
	if !own {
		return k, nil
	}
	if c.tlsServerName, err = k.CheckOwn(); err != nil {
		return nil, &policy.Error{
			Kind: policy.Unavailable, Code: "bad_tls_file", Field: "--tls-cert", Value: c.tls.Cert,
			Message: "does not do for the comparator that the server runs, which shows it to the server, and is shown it: " + err.Error(),
			Next:    "give it a certificate for servers and clients, with a name, of an authority in --tls-client-ca; or add --comparator-child=false",
		}
	}
	return k, nil
}

// reachable is the address by which a process on this machine reaches a listener: one that listens on all addresses has a loopback address, too.
func reachable(ln net.Listener) string {
	at, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil || !at.Addr().IsUnspecified() {
		return ln.Addr().String()
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return netip.AddrPortFrom(loopback, at.Port()).String()
}
