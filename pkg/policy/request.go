package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Request is what a router looks at.
type Request struct {
	Port          int      // of the listener; 0 is DefaultPort
	Host          string   // Host header or :authority, as sent; empty where there is none
	Path          string   // with the query, as sent; without a fragment, which a proxy refuses
	Headers       []Header // in the order sent
	ClientAddress string   // the peer of the connection, or what its PROXY protocol header says; without port
}

// Header is one header line.
type Header struct{ Name, Value string }

// Headers that Envoy keeps in one line each: repeated ones are joined by "," when they arrive, empty ones left out, in every version.
var joinedHeaders = map[string]bool{
	"accept": true, "accept-encoding": true, "access-control-request-headers": true, "access-control-request-method": true,
	"access-control-request-private-network": true, "authorization": true, "cache-control": true, "cdn-loop": true,
	"content-encoding": true, "content-type": true, "grpc-accept-encoding": true, "grpc-timeout": true, "if-match": true,
	"if-modified-since": true, "if-none-match": true, "if-range": true, "if-unmodified-since": true, "origin": true, "pragma": true,
	"referer": true, "user-agent": true, "via": true, "x-client-trace-id": true, "x-forwarded-for": true, "x-forwarded-host": true,
}

// header returns the values of a header, whose name is in lower case, as Envoy holds them. Headers that only the proxy may set are
// stripped at the edge, so they have none.
func (r *Request) header(name string) []string {
	for prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return nil
		}
	}
	var values []string
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			values = append(values, strings.Trim(h.Value, " \t"))
		}
	}
	if joinedHeaders[name] && len(values) > 1 {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		return []string{strings.Join(values, ",")}
	}
	return values
}

// cookie returns the first value of a cookie over all Cookie headers, without quotes around it.
func (r *Request) cookie(name string) (string, bool) {
	for _, line := range r.header("cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || strings.TrimLeft(key, " ") != name {
				continue
			}
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			return value, true
		}
	}
	return "", false
}

// parameter returns the first value of a query parameter. Neither names nor values are decoded.
func (r *Request) parameter(name string) (string, bool) {
	_, query, _ := strings.Cut(r.Path, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
	}
	return "", false
}

// path returns the path without the query.
func (r *Request) path() string {
	path, _, _ := strings.Cut(r.Path, "?")
	return path
}

// host returns the name in the Host header: lower case, without port and without a trailing dot.
func (r *Request) host() string {
	host := strings.ToLower(r.Host)
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host = host[:colon]
	}
	return strings.TrimSuffix(host, ".")
}

// client returns the address of the client behind so many trusted hops, as Envoy writes it. A list in x-forwarded-for that is too
// short or has no address in that place counts as none, and the peer is the client.
func (r *Request) client(trustedHops int) string {
	peer := r.ClientAddress
	if ip, err := netip.ParseAddr(peer); err == nil {
		peer = addressText(ip)
	}
	if trustedHops == 0 {
		return peer
	}
	hops := strings.Split(strings.Join(r.header("x-forwarded-for"), ","), ",")
	if len(hops) < trustedHops {
		return peer
	}
	ip, err := netip.ParseAddr(strings.Trim(hops[len(hops)-trustedHops], " \t"))
	if err != nil {
		return peer
	}
	return addressText(ip)
}

// addressText writes an address as the C library does: like Go, but the last four bytes of ::102:304 as an IPv4 address.
func addressText(ip netip.Addr) string {
	if !ip.Is6() || ip.Zone() != "" {
		return ip.String()
	}
	b := ip.As16()
	for _, zero := range b[:12] {
		if zero != 0 {
			return ip.String()
		}
	}
	if b[12] == 0 && b[13] == 0 {
		return ip.String()
	}
	return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
}
