package hook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"syscall"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// target is what of a URL decides whether it may be called.
type target struct {
	scheme string
	host   string // in lower case
	port   string
	path   string // clean, without a slash at the end: "" or "/a/b"
}

// plain is what paths may be made of: servers read an encoded slash, a backslash or "..;" in different ways.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+@:=,/"

// parse reads a URL. Whatever two readers could read in two ways is refused, so that what was checked is what is called. The error shows
// nothing of the URL, since it may hold a secret.
func parse(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return target{}, errors.New("is not a URL")
	}
	t := target{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port(), path: strings.TrimSuffix(u.Path, "/")}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || t.host == "" || u.Opaque != "":
		return target{}, errors.New("is not the URL of a webhook")
	case u.User != nil:
		return target{}, errors.New("holds a user or password; the signature says who calls")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return target{}, errors.New("has a fragment (#…), which is never sent")
	case strings.TrimLeft(u.Path, plain) != "" || u.RawPath != "" || strings.Contains(t.host, "%"):
		return target{}, errors.New("has more in its path than letters, digits and - . _ ~ + @ : = ,")
	case t.path != "" && path.Clean(t.path) != t.path || strings.Contains(u.Path, "//"):
		return target{}, errors.New(`has "." or ".." or nothing between two slashes`)
	case u.Scheme == "http" && !isLoopback(t.host):
		return target{}, errors.New("is http, by which anybody on the way could read and change it; https is allowed, and http on loopback")
	}
	if t.port == "" {
		t.port = map[string]string{"https": "443", "http": "80"}[t.scheme]
	}
	if addr, err := netip.ParseAddr(t.host); err == nil && forbidden(addr) != "" {
		return target{}, errors.New("points to " + forbidden(addr))
	}
	return t, nil
}

// covers says whether a URL is the prefix or below it, by whole segments.
func (t target) covers(u target) bool {
	if t.scheme != u.scheme || t.host != u.host || t.port != u.port {
		return false
	}
	return u.path == t.path || strings.HasPrefix(u.path, t.path+"/")
}

// Allowed says why a URL may not be called; nil: it may. The error is a [policy.Error] that does not show the URL.
func (h *Hooks) Allowed(text string) error {
	refuse := func(message, next string) error {
		return &policy.Error{Kind: policy.Invalid, Code: "hook_not_allowed", Field: "hook.url", Message: message, Next: next}
	}
	if len(h.allowed) == 0 {
		return refuse("the server's settings allow no webhooks", "add hooks.allow to them, or remove the hook")
	}
	u, err := parse(text)
	if err != nil {
		return refuse(err.Error(), "write for example https://hooks.test/crossfade")
	}
	for _, t := range h.allowed {
		if t.covers(u) {
			return nil
		}
	}
	const most = 5
	list := strings.Join(h.names[:min(most, len(h.names))], ", ")
	if more := len(h.names) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return refuse("only what the server's settings allow may be called: "+list+", and what is below", "take one of these, or have the settings extended (hooks.allow)")
}

// isLoopback says that a host is this machine, by its name alone.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// inside are addresses at which a cloud answers its own machines. Credentials are to be had there without asking for a password.
var inside = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS, IPv6
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	errInside = errors.New("the name leads to an address that is not called")
)

// forbidden says what an address is that is not called, whatever name leads there; empty: it may be called.
func forbidden(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	if addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Sprintf("%s, which is no host's address", addr)
	}
	for _, p := range inside {
		if p.Contains(addr) {
			return fmt.Sprintf("%s, a link-local address or one for a cloud's own machines", addr)
		}
	}
	return ""
}

// guard looks at each address just before it is connected to, after its name was resolved. With loopback only this machine is called.
func guard(loopback bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return err
		}
		if what := forbidden(addr); what != "" {
			return fmt.Errorf("%w: %s", errInside, what)
		}
		if loopback && !addr.Unmap().IsLoopback() {
			return fmt.Errorf("%w: %s is not on loopback", errInside, addr)
		}
		return nil
	}
}
