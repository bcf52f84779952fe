package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// listen is one of the addresses to listen on.
type listen struct{ name, flag, address string }

// listens returns the addresses, in the order in which they are taken.
func (c *config) listens() []listen {
	comparator := listen{"comparator", "--comparator-listen", c.comparator}
	if c.role == roleComparator {
		return []listen{comparator}
	}
	out := []listen{{"xds", "--xds-listen", c.xds}, {"api", "--api-listen", c.api}, {"http", "--http-listen", c.http}}
	if c.comparatorChild {
		out = append(out, comparator)
	}
	return out
}

// check returns everything wrong with the settings.
func (c *config) check() policy.Errors {
	switch c.role {
	case roleServer:
		return c.checkControlPlane()
	case roleComparator:
		return c.checkComparator()
	}
	return policy.Errors{invalid("bad_setting", "--role", c.role, "must be server or comparator", "")}
}

func (c *config) checkControlPlane() policy.Errors {
	var found policy.Errors
	if c.dataDir == "" {
		found = append(found, invalid("required", "--data-dir", "", "is missing: the store needs a directory", "for example --data-dir ./crossfade-data"))
	}
	found = append(found, c.checkMode()...)
	found = append(found, c.checkAddresses()...)
	found = append(found, c.operation.check()...)
	if _, err := parseMapping(c.mapAddresses); err != nil {
		found = append(found, err)
	}
	if err := checkAdvertise(c.advertise); err != nil {
		found = append(found, err)
	}
	return found
}

// checkMode checks what is said of the process as a whole.
func (c *config) checkMode() policy.Errors {
	var found policy.Errors
	found = append(found, c.checkTLS()...)
	if c.logFormat != "text" && c.logFormat != "json" {
		found = append(found, invalid("bad_setting", "--log-format", c.logFormat, "must be text or json", ""))
	}
	return found
}

func (c *config) checkAddresses() policy.Errors {
	var found policy.Errors
	taken := map[string]string{}
	for _, l := range c.listens() {
		if err := checkAddress(l); err != nil && (err.Code != "not_loopback" || !c.secure()) {
			found = append(found, err)
			continue
		}
		if other, again := taken[l.address]; again && !strings.HasSuffix(l.address, ":0") {
			found = append(found, invalid("same_address", l.flag, l.address, "is the address of "+other+" too", "each listener needs a port of its own"))
		}
		taken[l.address] = l.flag
	}
	return found
}

// checkAddress refuses what is no address, and what is not on this machine.
func checkAddress(l listen) *policy.Error {
	host, port, err := net.SplitHostPort(l.address)
	if err != nil {
		return invalid("bad_address", l.flag, l.address, "must be HOST:PORT", "for example 127.0.0.1:18080, or [::1]:18080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return invalid("bad_address", l.flag, l.address, fmt.Sprintf("%q is not a port: must be 0 to 65535, 0 for any free one", port), "")
	}
	if host == "localhost" {
		return nil // what it resolves to is checked once it is bound
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host != "" && (err != nil || ip.Zone() != ""):
		return invalid("bad_address", l.flag, l.address, fmt.Sprintf("%q is neither an IP address nor localhost", host), "")
	case host == "" || !ip.Unmap().IsLoopback():
		return notLoopback(l)
	}
	return nil
}

func notLoopback(l listen) *policy.Error {
	return invalid("not_loopback", l.flag, l.address, "others could reach this address: without TLS only loopback addresses are served",
		"add --tls-cert, --tls-key and --tls-client-ca: docs/tls.md; or use 127.0.0.1")
}

func checkAdvertise(host string) *policy.Error {
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(host) > 253 || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.Trim(host, "-.") != host {
		return invalid("bad_host", "--advertise", host, "must be a host name or an IP address, without a port", "")
	}
	return nil
}
