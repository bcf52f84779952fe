package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Defaults of circuit breakers: high enough for an origin to take everything at once.
const (
	DefaultMaxConnections = 100_000
	DefaultMaxPending     = 100_000
	DefaultMaxRequests    = 100_000
	DefaultMaxRetries     = 1000
)

const maxInt32 = 1<<31 - 1

// originNames lists the names that are written, in order, whatever else is wrong with the origins.
func originNames(docs []*crossfadev1.Origin) []string {
	var names []string
	for _, d := range docs {
		if name := d.GetName(); name != "" && !slices.Contains(names, name) && len(names) < MaxOrigins {
			names = append(names, name)
		}
	}
	return names
}

func (p *problems) origins(docs []*crossfadev1.Origin) []Origin {
	if len(docs) < 2 {
		p.add("origins", "origins_few", fmt.Sprint(len(docs)), "two or more origins are needed", "add the place where the service moves to; it gets no traffic until a split or a pin says so")
	}
	if p.count("origins", len(docs), MaxOrigins, "origins") {
		return nil
	}
	first := map[string]int{}
	out := make([]Origin, 0, len(docs))
	for i, d := range docs {
		field := at("origins", i)
		p.checkName(field+".name", d.GetName(), "the origin")
		if j, seen := first[d.GetName()]; seen && d.GetName() != "" {
			p.add(field+".name", "name_duplicate", d.GetName(), fmt.Sprintf("is the name of origins[%d] as well", j), "give each origin a name of its own")
		} else {
			first[d.GetName()] = i
		}
		out = append(out, p.origin(field, d))
	}
	return out
}

func (p *problems) origin(field string, d *crossfadev1.Origin) Origin {
	o := Origin{Name: d.GetName(), Protocol: p.protocol(field+".protocol", d.GetProtocol())}
	p.discovery(field, d, &o)
	o.ConnectTimeout = p.duration(field+".connectTimeout", d.GetConnectTimeout(), durationRule{def: DefaultConnectTimeout, min: time.Millisecond})
	o.HealthCheck = p.healthCheck(field+".healthCheck", d.GetHealthCheck())
	o.OutlierDetection = p.outlierDetection(field+".outlierDetection", d.GetOutlierDetection())
	o.CircuitBreakers = p.circuitBreakers(field+".circuitBreakers", d.GetCircuitBreakers())
	o.TLS = p.tls(field+".tls", d.GetTls(), &o)
	o.SlowStart = p.duration(field+".slowStart", d.GetSlowStart(), durationRule{})
	o.ZoneMinimum = p.zone(field+".zone", d.GetZone(), &o)
	o.Capacity = p.capacity(field+".capacity", d.GetCapacity())
	return o
}

func (p *problems) protocol(field, written string) Protocol {
	switch Protocol(written) {
	case "", HTTP1:
		return HTTP1
	case HTTP2:
		return HTTP2
	}
	p.add(field, "protocol_unknown", written, `must be "http1" or "http2" (cleartext HTTP/2; gRPC needs it)`, "")
	return HTTP1
}

func (p *problems) endpoints(field string, written []string) []netip.AddrPort {
	if len(written) == 0 {
		p.add(field, "endpoints_missing", "", "an origin needs at least one endpoint", `write addresses as "IP:PORT"`)
	}
	if p.count(field, len(written), MaxEndpoints, "endpoints") {
		return nil
	}
	first := make(map[netip.AddrPort]int, len(written))
	out := make([]netip.AddrPort, 0, len(written))
	for i, w := range written {
		addr, wrong := parseEndpoint(w)
		if wrong != nil {
			p.add(at(field, i), wrong.Code, w, wrong.Message, wrong.Next)
			continue
		}
		if j, seen := first[addr]; seen {
			p.add(at(field, i), "endpoint_duplicate", w, fmt.Sprintf("is the same address as endpoint %d of this list, counted from 0", j), "remove one of them")
			continue
		}
		first[addr] = i
		out = append(out, addr)
	}
	return out
}

// parseEndpoint reads "IP:PORT", or says what is wrong with it.
func parseEndpoint(s string) (netip.AddrPort, *Error) {
	wrong := func(code, message, next string) (netip.AddrPort, *Error) {
		return netip.AddrPort{}, &Error{Code: code, Message: message, Next: next}
	}
	if ip, err := netip.ParseAddr(unbracket(s)); err == nil {
		return wrong("endpoint_port", "has no port", fmt.Sprintf("write for example %q", netip.AddrPortFrom(ip, 8080)))
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		host, port, _ := cutLast(s, ":")
		if _, ipErr := netip.ParseAddr(unbracket(host)); ipErr == nil && isDigits(port) {
			return wrong("endpoint_port", `must be "IP:PORT" with a port of 1 to 65535, IPv6 in brackets`, "")
		}
		return wrong("endpoint_not_ip", `must be "IP:PORT", IPv6 in brackets; a host name is not allowed here`, "write the IP address")
	}
	ip := addr.Addr().Unmap()
	switch {
	case addr.Port() == 0:
		return wrong("endpoint_port", "port 0 cannot be connected to; a port is 1 to 65535", "")
	case ip.Zone() != "":
		return wrong("endpoint_not_ip", "an address with a zone is not allowed", "")
	case ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return wrong("endpoint_address", "is not the address of one machine", "write the address that the proxies connect to")
	}
	return netip.AddrPortFrom(ip, addr.Port()), nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (p *problems) outlierDetection(field string, d *crossfadev1.OutlierDetection) *OutlierDetection {
	if d == nil {
		return nil
	}
	return &OutlierDetection{
		ConsecutiveFailures: p.number(field+".consecutiveFailures", d.GetConsecutiveFailures(), 5, 1, MaxThreshold),
		Interval:            p.duration(field+".interval", d.GetInterval(), durationRule{def: 10 * time.Second, min: MinHealthInterval}),
		BaseEjectionTime:    p.duration(field+".baseEjectionTime", d.GetBaseEjectionTime(), durationRule{def: 30 * time.Second, min: MinHealthInterval}),
		MaxEjectionPercent:  p.number(field+".maxEjectionPercent", d.GetMaxEjectionPercent(), 50, 1, 100),
	}
}

func (p *problems) circuitBreakers(field string, d *crossfadev1.CircuitBreakers) CircuitBreakers {
	return CircuitBreakers{
		MaxConnections:     p.number(field+".maxConnections", d.GetMaxConnections(), DefaultMaxConnections, 1, maxInt32),
		MaxPendingRequests: p.number(field+".maxPendingRequests", d.GetMaxPendingRequests(), DefaultMaxPending, 1, maxInt32),
		MaxRequests:        p.number(field+".maxRequests", d.GetMaxRequests(), DefaultMaxRequests, 1, maxInt32),
		MaxRetries:         p.number(field+".maxRetries", d.GetMaxRetries(), DefaultMaxRetries, 1, maxInt32),
	}
}
