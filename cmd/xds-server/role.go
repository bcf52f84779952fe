package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Roles of the process.
const (
	roleServer     = "server"
	roleComparator = "comparator"
)

// comparatorFlag tells the flags that a comparator uses.
func comparatorFlag(name string) bool {
	return slices.Contains([]string{
		"role", "dev", "comparator-listen", "advertise", "server", "token-file", "ready-file", "log-format", comparatorFD,
		"tls-cert", "tls-key", "tls-client-ca", "tls-crl", "tls-server-name",
	}, name)
}

// serverFlag tells the flags that the control plane uses.
func serverFlag(name string) bool { return !comparatorOnly(name) && name != comparatorFD }

// comparatorOnly tells those that only a comparator uses.
func comparatorOnly(name string) bool {
	return name == "server" || name == "token-file" || name == "tls-server-name"
}

// given returns the flags of the command line.
func given(f *pflag.FlagSet) []string {
	var names []string
	f.Visit(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	return names
}

// misplaced refuses flags of the command line that the role does not use. In the environment they may be for another process.
func (c *config) misplaced(names []string) policy.Errors {
	var found policy.Errors
	for _, name := range names {
		switch {
		case c.role == roleComparator && !comparatorFlag(name):
			found = append(found, invalid("not_for_role", "--"+name, "", "is not for a comparator, which keeps nothing and serves copies of requests only", "remove it, or --role comparator"))
		case c.role == roleServer && !serverFlag(name):
			found = append(found, invalid("not_for_role", "--"+name, "", "is for comparators", "remove it, or add --role comparator"))
		}
	}
	return found
}

// checkComparator returns everything wrong with the settings of a comparator.
func (c *config) checkComparator() policy.Errors {
	found := append(c.checkMode(), c.checkAddresses()...)
	if err := checkServer(c.server, c.secure()); err != nil {
		found = append(found, err)
	}
	switch ip, err := netip.ParseAddr(c.advertise); {
	case c.advertise == "":
	case err != nil:
		found = append(found, invalid("bad_host", "--advertise", c.advertise, "of a comparator must be an IP address: proxies do not look up names of it", ""))
	case !ip.Unmap().IsLoopback() && !c.secure():
		found = append(found, invalid("not_loopback", "--advertise", c.advertise, "of a comparator must be on this machine: without TLS copies go to loopback addresses only", "leave it out, or add --tls-cert, --tls-key and --tls-client-ca"))
	}
	if c.tokenFile == "" && c.token.reveal() == "" {
		found = append(found, invalid("required", "--token-file", "", "is missing: only who knows the control plane's token may work for it", "it is "+tokenFile+" in the data directory of the control plane"))
	}
	if c.comparatorFD != 0 && c.comparatorFD < 3 {
		found = append(found, invalid("bad_setting", "--"+comparatorFD, fmt.Sprint(c.comparatorFD), "must be 3 or more", "it is for the control plane, which starts its comparator so"))
	}
	return found
}

// checkServer refuses what is no address of a control plane, and without TLS what is not on this machine.
func checkServer(address string, secure bool) *policy.Error {
	const example = "for example --server 127.0.0.1:18080"
	if address == "" {
		return invalid("required", "--server", "", "is missing: a comparator works for a control plane", example)
	}
	err := checkAddress(listen{flag: "--server", address: address})
	if host, port, splitErr := net.SplitHostPort(address); secure && splitErr == nil && host != "" && err != nil && (err.Code == "not_loopback" || checkAdvertise(host) == nil) {
		err = checkAddress(listen{flag: "--server", address: net.JoinHostPort("localhost", port)}) // names will do, too
	}
	switch {
	case err != nil && err.Code == "not_loopback":
		return invalid("not_loopback", "--server", address, "is not on this machine: without TLS only loopback addresses are asked", "add --tls-cert, --tls-key and --tls-client-ca")
	case err == nil && strings.HasSuffix(address, ":0"):
		return invalid("bad_address", "--server", address, "must have the port of the control plane's --api-listen", example)
	}
	return err
}
