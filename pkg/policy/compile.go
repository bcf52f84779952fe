package policy

import (
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// APIVersion is what every document says in apiVersion.
const APIVersion = "crossfade/v1"

// The kinds of documents.
const (
	KindService = "Service"
	KindFleet   = "Fleet"
	KindMirror  = "Mirror"
	KindRollout = "Rollout"
)

// CompileService gives a document its meaning: defaults filled in, every rule checked. It returns a service or everything that is
// wrong with the document, in the order of its fields, never both. The document is not changed and not kept.
func CompileService(doc *crossfadev1.Service) (*Service, Errors) {
	var p problems
	if doc == nil {
		p.add("", "document_empty", "", "the document is empty", "see `shadowctl example service`")
		return nil, p.found
	}
	p.header(doc.GetApiVersion(), doc.GetKind(), KindService)
	p.found = append(p.found, Unknown(doc)...)
	p.checkName("name", doc.GetName(), "the service")
	s := &Service{
		Name:         doc.GetName(),
		Fleets:       p.fleets(doc),
		Hosts:        p.hosts(doc.GetHosts()),
		PathPrefixes: p.pathPrefixes(doc.GetPathPrefixes()),
		Port:         p.port(doc.GetListener()),
		Primary:      doc.GetPrimary(),
	}
	names := originNames(doc.GetOrigins())
	p.primary(doc.GetPrimary(), names)
	s.Origins = p.origins(doc.GetOrigins())
	s.Split = p.split(doc.GetSplit(), names, doc.GetPrimary())
	s.Pins = p.pins(doc.GetPins(), names)
	s.Timeouts = p.timeouts(doc.GetTimeouts())
	s.Retries = p.retries(doc.GetRetries(), s.Timeouts.Request, doc.GetOrigins())
	s.RolledBackIn = p.rolledBackIn(doc)
	if len(p.found) > 0 {
		return nil, p.found
	}
	s.fillHealthHosts()
	return s, nil
}

// CompileFleet does for the settings of a fleet what [CompileService] does for a service.
func CompileFleet(doc *crossfadev1.Fleet) (*Fleet, Errors) {
	var p problems
	if doc == nil {
		p.add("", "document_empty", "", "the document is empty", "")
		return nil, p.found
	}
	p.header(doc.GetApiVersion(), doc.GetKind(), KindFleet)
	p.found = append(p.found, Unknown(doc)...)
	p.checkName("name", doc.GetName(), "the fleet")
	if n := doc.GetTrustedHops(); n < 0 || n > MaxTrustedHops {
		p.add("trustedHops", "out_of_range", fmt.Sprint(n), fmt.Sprintf("must be 0 to %d: how many proxies in front of the fleet append to x-forwarded-for", MaxTrustedHops), "write 1 behind an ALB, 0 behind an NLB or nothing")
	}
	secure := p.listeners(doc.GetListeners())
	if len(p.found) > 0 {
		return nil, p.found
	}
	return &Fleet{Name: doc.GetName(), TrustedHops: int(doc.GetTrustedHops()), ProxyProtocol: doc.GetProxyProtocol(), TLS: secure}, nil
}

// DefaultFleetSettings is the meaning of a fleet for which no document exists.
func DefaultFleetSettings(name string) *Fleet { return &Fleet{Name: name} }

func (p *problems) header(apiVersion, kind, wanted string) {
	if apiVersion != APIVersion {
		p.add("apiVersion", "api_version", apiVersion, fmt.Sprintf("only %q is known", APIVersion), fmt.Sprintf("write apiVersion: %s", APIVersion))
	}
	if kind != wanted {
		p.add("kind", "kind", kind, fmt.Sprintf("must be %q here", wanted), fmt.Sprintf("write kind: %s", wanted))
	}
}

func (p *problems) port(l *crossfadev1.Listener) int {
	port := l.GetPort()
	if port == 0 {
		return DefaultPort
	}
	if port < 1 || port > 65535 {
		p.add("listener.port", "port_range", fmt.Sprint(port), "a port is 1 to 65535", fmt.Sprintf("leave it out for the default of %d", DefaultPort))
	}
	return int(port)
}

func (p *problems) primary(name string, origins []string) {
	if name == "" {
		p.add("primary", "primary_missing", "", "the origin where a rollback goes is needed", knownOrigins(origins))
		return
	}
	p.knownOrigin("primary", name, origins)
}

// knownOrigin refuses the name of an origin that the service does not have.
func (p *problems) knownOrigin(field, name string, origins []string) {
	for _, o := range origins {
		if o == name {
			return
		}
	}
	p.add(field, "origin_unknown", name, "the service has no origin of this name", knownOrigins(origins))
}

func knownOrigins(origins []string) string {
	if len(origins) == 0 {
		return ""
	}
	return "its origins are " + and(origins)
}

// Defaults of timeouts, those of an AWS Application Load Balancer.
const (
	DefaultIdleTimeout    = 60 * time.Second
	DefaultConnectTimeout = 5 * time.Second
)

func (p *problems) timeouts(t *crossfadev1.Timeouts) Timeouts {
	return Timeouts{
		Request:           p.duration("timeouts.request", t.GetRequest(), durationRule{}),
		Idle:              p.duration("timeouts.idle", t.GetIdle(), durationRule{def: DefaultIdleTimeout}),
		MaxStreamDuration: p.duration("timeouts.maxStreamDuration", t.GetMaxStreamDuration(), durationRule{}),
	}
}

// fillHealthHosts gives health checks without a Host header the first name of the service, as clients would send it.
func (s *Service) fillHealthHosts() {
	host := s.Name
	for _, h := range s.Hosts {
		if h[0] != '*' {
			host = h
			break
		}
	}
	for i := range s.Origins {
		if hc := s.Origins[i].HealthCheck; hc != nil && hc.Host == "" {
			hc.Host = host
		}
	}
}
