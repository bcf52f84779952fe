package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// discovery reads where the endpoints of an origin come from.
func (p *problems) discovery(field string, d *crossfadev1.Origin, o *Origin) {
	switch {
	case d.GetStatic() != nil:
		o.Static = p.endpoints(field+".static.endpoints", d.GetStatic().GetEndpoints())
	case d.GetEcs() != nil:
		o.ECS = p.ecs(field+".ecs", d.GetEcs())
	case d.GetCloudMap() != nil:
		o.CloudMap = p.cloudMap(field+".cloudMap", d.GetCloudMap())
	case d.GetKubernetes() != nil:
		o.Kubernetes = p.kubernetes(field+".kubernetes", d.GetKubernetes())
	case d.GetDns() != nil:
		o.DNS = p.dns(field+".dns", d.GetDns())
	default:
		p.add(field, "discovery_missing", "", "it is not said where its endpoints come from: static, ecs, cloudMap, kubernetes or dns", `write for example static: {endpoints: ["10.0.0.1:8080"]}`)
	}
}

func (p *problems) ecs(field string, d *crossfadev1.EcsService) *ECSService {
	p.text(field+".region", d.GetRegion(), false)
	p.text(field+".cluster", d.GetCluster(), true)
	switch {
	case d.GetService() != "" && d.GetGroup() != "":
		p.add(field+".group", "exclusive", d.GetGroup(), "service is written too: it is one or the other", "leave group out for tasks of a service")
	case d.GetService() == "" && d.GetGroup() == "":
		p.add(field+".service", "text_missing", "", "a service is needed, or a group of tasks that no service runs", "")
	}
	p.text(field+".service", d.GetService(), false)
	p.text(field+".group", d.GetGroup(), false)
	p.text(field+".container", d.GetContainer(), false)
	return &ECSService{
		Region: d.GetRegion(), Cluster: d.GetCluster(), Service: d.GetService(), Group: d.GetGroup(), Container: d.GetContainer(),
		Port: p.portNumber(field+".port", d.GetPort(), true),
	}
}

func (p *problems) cloudMap(field string, d *crossfadev1.CloudMapService) *CloudMapService {
	p.text(field+".region", d.GetRegion(), false)
	p.text(field+".namespace", d.GetNamespace(), true)
	p.text(field+".service", d.GetService(), true)
	return &CloudMapService{Region: d.GetRegion(), Namespace: d.GetNamespace(), Service: d.GetService(), Port: p.portNumber(field+".port", d.GetPort(), false)}
}

func (p *problems) kubernetes(field string, d *crossfadev1.KubernetesService) *KubernetesService {
	p.text(field+".cluster", d.GetCluster(), true)
	p.checkName(field+".namespace", d.GetNamespace(), "the namespace")
	p.checkName(field+".service", d.GetService(), "the service")
	if port := d.GetPort(); port != "" {
		if n, err := strconv.Atoi(port); err == nil && (n < 1 || n > 65535) {
			p.add(field+".port", "port_range", port, "a port is 1 to 65535", "")
		} else if err != nil && !ValidName(port) {
			p.add(field+".port", "port_invalid", port, "must be the name of a port of the service, or the number at which its pods listen", "")
		}
	}
	return &KubernetesService{Cluster: d.GetCluster(), Namespace: d.GetNamespace(), Service: d.GetService(), Port: d.GetPort()}
}

func (p *problems) dns(field string, d *crossfadev1.DnsName) *DNSName {
	out := &DNSName{Host: p.dnsHost(field+".host", d.GetHost()), Port: p.portNumber(field+".port", d.GetPort(), true)}
	switch d.GetLookup() {
	case "", "logical":
		out.Logical = true
	case "strict":
	default:
		p.add(field+".lookup", "lookup_unknown", d.GetLookup(), `must be "logical" (new connections go to the first address) or "strict" (each address is an endpoint)`, "")
	}
	if p.count(field+".resolvers", len(d.GetResolvers()), MaxResolvers, "DNS servers") {
		return out
	}
	for i, r := range d.GetResolvers() {
		addr, wrong := parseEndpoint(r)
		if wrong != nil {
			p.add(at(field+".resolvers", i), wrong.Code, r, wrong.Message, wrong.Next)
		}
		out.Resolvers = append(out.Resolvers, addr)
	}
	return out
}

// dnsHost returns a name that can be looked up, in lower case and without trailing dot.
func (p *problems) dnsHost(field, host string) string {
	canonical, wrong := canonicalHost(host)
	switch {
	case wrong != nil:
		p.add(field, wrong.Code, host, wrong.Message, wrong.Next)
	case strings.Contains(canonical, "*"):
		p.add(field, "host_wildcard", host, "a wildcard cannot be looked up", "write the whole name")
	case isAddress(canonical):
		p.add(field, "host_is_address", host, "is an address, and there is nothing to look up", fmt.Sprintf("write static: {endpoints: [%q]}", host+":8080"))
	}
	return canonical
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(unbracket(host))
	return err == nil
}

// text refuses names of other systems that cannot be any: empty where one is needed, too long, or not printable.
func (p *problems) text(field, value string, needed bool) {
	switch {
	case value == "" && needed:
		p.add(field, "text_missing", "", "a name is needed", "")
	case len(value) > MaxForeignBytes:
		p.add(field, "too_long", value, fmt.Sprintf("has %d bytes; at most %d are allowed", len(value), MaxForeignBytes), "")
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		p.add(field, "text_invalid", value, "has a space, a control character or a letter outside ASCII in it", "")
	}
}

func (p *problems) portNumber(field string, port int32, needed bool) int {
	if port < 0 || port > 65535 || port == 0 && needed {
		value := ""
		if port != 0 {
			value = fmt.Sprint(port)
		}
		p.add(field, "port_range", value, "a port of 1 to 65535 is needed", "")
	}
	return int(port)
}

// zone returns how many endpoints of the proxy's zone make requests stay there; 0: none do.
func (p *problems) zone(field string, d *crossfadev1.ZonePreference, o *Origin) int {
	switch n := d.GetMinEndpoints(); {
	case d == nil:
	case n < 1 || n > MaxEndpoints:
		p.add(field+".minEndpoints", "out_of_range", fmt.Sprint(n), fmt.Sprintf("must be 1 to %d", MaxEndpoints), "leave zone out if zones make no difference")
	case !o.Discovered():
		p.add(field, "zone_unknown", "", "nobody says in which zone endpoints of a "+o.SourceKind()+" origin are", "leave zone out")
	}
	return int(d.GetMinEndpoints())
}

// capacity returns what one endpoint can take, in requests per second; 0: not said.
func (p *problems) capacity(field string, d *crossfadev1.Capacity) int {
	if d != nil && d.GetRequestsPerSecond() < 1 {
		p.add(field+".requestsPerSecond", "out_of_range", fmt.Sprint(d.GetRequestsPerSecond()), "must be 1 or more", "leave capacity out if it is not known")
	}
	return int(d.GetRequestsPerSecond())
}

// Discovered says whether the endpoints of the origin come from a source that the control plane follows: from everywhere but the document and DNS.
func (o *Origin) Discovered() bool { return o.ECS != nil || o.CloudMap != nil || o.Kubernetes != nil }

// SourceKind is the word of the document for where the endpoints come from: "static", "ecs", "cloudMap", "kubernetes" or "dns".
func (o *Origin) SourceKind() string {
	switch {
	case o.ECS != nil:
		return "ecs"
	case o.CloudMap != nil:
		return "cloudMap"
	case o.Kubernetes != nil:
		return "kubernetes"
	case o.DNS != nil:
		return "dns"
	}
	return "static"
}

// Source says where the endpoints come from, for people and to tell one source from another: "kubernetes prod/shop/orders:http".
func (o *Origin) Source() string {
	text := ""
	switch {
	case o.ECS != nil:
		text = joined(o.ECS.Region, o.ECS.Cluster, o.ECS.Service+o.ECS.Group, o.ECS.Container) + ":" + strconv.Itoa(o.ECS.Port)
	case o.CloudMap != nil:
		text = joined(o.CloudMap.Region, o.CloudMap.Namespace, o.CloudMap.Service)
		if o.CloudMap.Port > 0 {
			text += ":" + strconv.Itoa(o.CloudMap.Port)
		}
	case o.Kubernetes != nil:
		text = joined(o.Kubernetes.Cluster, o.Kubernetes.Namespace, o.Kubernetes.Service)
		if o.Kubernetes.Port != "" {
			text += ":" + o.Kubernetes.Port
		}
	case o.DNS != nil:
		text = o.DNS.Host + ":" + strconv.Itoa(o.DNS.Port)
	default:
		return o.SourceKind()
	}
	return o.SourceKind() + " " + text
}

// joined joins what is not empty with slashes.
func joined(parts ...string) string {
	var out []string
	for _, part := range parts {
		if part != "" {
			out = append(out, part)
		}
	}
	return strings.Join(out, "/")
}
