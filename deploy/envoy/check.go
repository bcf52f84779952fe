package envoy

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Bounds of names, in bytes.
const (
	maxNodeID = 253
	maxZone   = 63
)

// problems gathers everything wrong with a Bootstrap.
type problems struct{ found policy.Errors }

func (p *problems) add(field, code, value, message, next string) {
	p.found = append(p.found, &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next})
}

// view fills in defaults and checks every field.
func (b Bootstrap) view() (view, policy.Errors) {
	b.Fleet = cmp.Or(b.Fleet, policy.DefaultFleet)
	b.ListenAddress = cmp.Or(b.ListenAddress, DefaultListenAddress)
	b.FlushInterval = cmp.Or(b.FlushInterval, DefaultFlushInterval)
	b.MaxConnections = cmp.Or(b.MaxConnections, DefaultMaxConnections)

	p := &problems{}
	v := view{Version: Version, ReadyKey: readyKey, Layers: layers(), Stats: stats(), Buckets: buckets()}
	p.names(b)
	p.limits(b)
	v.Ready = p.address("readyAddress", cmp.Or(b.ReadyAddress, DefaultReadyAddress))
	v.Admin = p.address("adminAddress", cmp.Or(b.AdminAddress, DefaultAdminAddress))
	if ip, err := netip.ParseAddr(v.Admin.Host); err == nil && !ip.IsLoopback() {
		p.add("adminAddress", "admin_not_loopback", b.AdminAddress, "the admin interface has no protection and can stop the proxy; only a loopback address is allowed", "use 127.0.0.1:9901")
	}
	p.experiment(b.ExperimentAddress, b.TLS.on())
	v.XDS, v.XDSType = p.controlPlane(b.XDSAddress)
	if b.TLS.on() {
		p.tls(b.TLS)
		v.Secure = true
		v.Names, v.SNI = serverNames(b.TLS.ServerName, v.XDS)
	}
	v.FlushInterval = strconv.FormatFloat(b.FlushInterval.Seconds(), 'f', -1, 64) + "s"
	v.Bootstrap = b
	return v, p.found
}

func (p *problems) names(b Bootstrap) {
	if !policy.ValidName(b.Fleet) {
		p.add("fleet", "name_invalid", b.Fleet, "only lower-case letters, digits and dashes are allowed, at most 63, with a letter or digit at both ends", "")
	}
	printable := func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	}
	switch {
	case b.NodeID == "":
		p.add("nodeID", "name_missing", "", "a name for the proxy is needed, unique among all proxies", "use the host's name or the task's id")
	case len(b.NodeID) > maxNodeID || !printable(b.NodeID):
		p.add("nodeID", "name_invalid", b.NodeID, fmt.Sprintf("1 to %d printable ASCII characters without spaces are allowed", maxNodeID), "")
	}
	if len(b.Zone) > maxZone || !printable(b.Zone) {
		p.add("zone", "name_invalid", b.Zone, fmt.Sprintf("at most %d printable ASCII characters without spaces are allowed", maxZone), "use the name of the availability zone, eu-central-1a for example")
	}
	if ip, err := netip.ParseAddr(b.ListenAddress); err != nil || ip.Zone() != "" {
		p.add("listenAddress", "address_invalid", b.ListenAddress, "an IP address without port is needed; the ports come from the services", "use 0.0.0.0 for all addresses")
	}
}

func (p *problems) limits(b Bootstrap) {
	if b.FlushInterval < minFlush || b.FlushInterval > maxFlush {
		p.add("flushInterval", "duration_range", b.FlushInterval.String(), fmt.Sprintf("must be between %s and %s", minFlush, maxFlush), "")
	}
	if b.MaxConnections < 1 {
		p.add("maxConnections", "number_range", strconv.Itoa(b.MaxConnections), "must be at least 1", "")
	}
	if b.MaxHeapBytes < 0 || b.MaxHeapBytes > 0 && b.MaxHeapBytes < minHeap {
		p.add("maxHeapBytes", "number_range", strconv.FormatInt(b.MaxHeapBytes, 10), fmt.Sprintf("must be at least %d (64 MiB), or 0 for no limit", minHeap), "")
	}
}

// address reads IP:PORT.
func (p *problems) address(field, s string) hostPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Addr().Zone() != "" {
		p.add(field, "address_invalid", s, "IP:PORT is needed, IPv6 in brackets", "")
		return hostPort{}
	}
	return hostPort{a.Addr().String(), int(a.Port())}
}

// experiment checks the address of the experiment listener as the control plane does, which opens none at another.
func (p *problems) experiment(s string, secure bool) {
	if s == "" {
		return
	}
	at := p.address("experimentAddress", s)
	switch ip, err := netip.ParseAddr(at.Host); {
	case err != nil:
	case ip.IsUnspecified():
		p.add("experimentAddress", "address_invalid", s, "comparators are told this address, so it has to be one of this host", "use 127.0.0.1:10090")
	case !secure && !ip.Unmap().IsLoopback():
		p.add("experimentAddress", "experiment_not_loopback", s, "whoever reaches this address can ask origins past all that stands in front of the proxy; without TLS only a loopback address is allowed", "use 127.0.0.1:10090, or --tls-ca, --tls-cert and --tls-key")
	case at.Port == 0:
		p.add("experimentAddress", "address_invalid", s, "a port other than 0 is needed: comparators are told this address", "use 127.0.0.1:10090")
	}
}

// controlPlane reads the addresses of the control plane and says how Envoy finds them: it resolves names again and again.
func (p *problems) controlPlane(s string) ([]hostPort, string) {
	if s == "" {
		p.add("xdsAddress", "address_missing", "", "the address of the control plane is needed, HOST:PORT", "it is in xds-server's ready file and log")
		return nil, ""
	}
	kind := "STATIC"
	var out []hostPort
	for one := range strings.SplitSeq(s, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(one))
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || n == 0 || host == "" || strings.ContainsAny(host, " /@%") {
			p.add("xdsAddress", "address_invalid", one, "HOST:PORT is needed, IPv6 in brackets, several with commas between", "")
			continue
		}
		if _, err := netip.ParseAddr(host); err != nil {
			kind = "STRICT_DNS"
		}
		out = append(out, hostPort{host, int(n)})
	}
	return out, kind
}
