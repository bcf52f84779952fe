package policy_test

import (
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// badSources are origins whose endpoints come from a place that cannot be.
func badSources() []badService {
	ecs := func(name string, e *crossfadev1.EcsService, want ...string) badService {
		return badSource(name, &crossfadev1.Origin{Discovery: &crossfadev1.Origin_Ecs{Ecs: e}}, "ecs", want)
	}
	cloudMap := func(name string, m *crossfadev1.CloudMapService, want ...string) badService {
		return badSource(name, &crossfadev1.Origin{Discovery: &crossfadev1.Origin_CloudMap{CloudMap: m}}, "cloudMap", want)
	}
	kubernetes := func(name string, k *crossfadev1.KubernetesService, want ...string) badService {
		return badSource(name, &crossfadev1.Origin{Discovery: &crossfadev1.Origin_Kubernetes{Kubernetes: k}}, "kubernetes", want)
	}
	dns := func(name string, d *crossfadev1.DnsName, want ...string) badService {
		return badSource(name, &crossfadev1.Origin{Discovery: &crossfadev1.Origin_Dns{Dns: d}}, "dns", want)
	}
	return []badService{
		ecs("ecs of nothing", &crossfadev1.EcsService{}, "text_missing cluster", "text_missing service", "port_range port"),
		ecs("ecs service and group", &crossfadev1.EcsService{Cluster: "c", Service: "s", Group: "g", Port: 80}, "exclusive group"),
		ecs("ecs with a space", &crossfadev1.EcsService{Cluster: "my cluster", Service: "s", Container: "a\nb", Port: 80}, "text_invalid cluster", "text_invalid container"),
		ecs("ecs too long", &crossfadev1.EcsService{Cluster: strings.Repeat("c", 513), Service: "s", Port: 70000}, "too_long cluster", "port_range port"),
		cloudMap("cloud map of nothing", &crossfadev1.CloudMapService{}, "text_missing namespace", "text_missing service"),
		cloudMap("cloud map port", &crossfadev1.CloudMapService{Namespace: "n", Service: "s", Port: -1}, "port_range port"),
		kubernetes("kubernetes of nothing", &crossfadev1.KubernetesService{}, "text_missing cluster", "name_missing namespace", "name_missing service"),
		kubernetes("kubernetes by its whole name", &crossfadev1.KubernetesService{Cluster: "c", Namespace: "n", Service: "orders.n.svc"}, "name_invalid service"),
		kubernetes("kubernetes port", &crossfadev1.KubernetesService{Cluster: "c", Namespace: "n", Service: "s", Port: "70000"}, "port_range port"),
		kubernetes("kubernetes port name", &crossfadev1.KubernetesService{Cluster: "c", Namespace: "n", Service: "s", Port: "HTTP"}, "port_invalid port"),
		dns("dns of nothing", &crossfadev1.DnsName{}, "host_missing host", "port_range port"),
		dns("dns of an address", &crossfadev1.DnsName{Host: "10.0.0.1", Port: 80}, "host_is_address host"),
		dns("dns of an IPv6 address", &crossfadev1.DnsName{Host: "[::1]", Port: 80}, "host_is_address host"),
		dns("dns of a wildcard", &crossfadev1.DnsName{Host: "*.internal", Port: 80}, "host_wildcard host"),
		dns("dns with its port", &crossfadev1.DnsName{Host: "lb.internal:80", Port: 80}, "host_port host"),
		dns("dns otherwise", &crossfadev1.DnsName{Host: "lb.internal", Port: 80, Lookup: "srv"}, "lookup_unknown lookup"),
		dns("dns server by name", &crossfadev1.DnsName{Host: "lb.internal", Port: 80, Resolvers: []string{"127.0.0.53:53", "dns.internal:53"}}, "endpoint_not_ip resolvers[1]"),
		dns("too many dns servers", &crossfadev1.DnsName{Host: "lb.internal", Port: 80, Resolvers: make([]string, 9)}, "too_many resolvers"),
	}
}

func badSource(name string, o *crossfadev1.Origin, kind string, want []string) badService {
	for i, w := range want {
		code, field, _ := strings.Cut(w, " ")
		want[i] = code + " origins[1]." + kind + "." + field
	}
	return badService{name, func(d *crossfadev1.Service) { d.Origins[1].Discovery = o.Discovery }, want}
}

func badTLS() []badService {
	tls := func(name string, t *crossfadev1.Tls, code, field string) badService {
		return badService{name, func(d *crossfadev1.Service) { d.Origins[1].Tls = t }, list(code, "origins[1].tls."+field)}
	}
	return []badService{
		tls("tls without a name", &crossfadev1.Tls{}, "text_missing", "serverName"),
		tls("tls to a wildcard", &crossfadev1.Tls{ServerName: "*.internal"}, "host_wildcard", "serverName"),
		tls("authorities beside the working directory", &crossfadev1.Tls{ServerName: "a.internal", CaFile: "ca.pem"}, "file_invalid", "caFile"),
		tls("authorities that nobody asks", &crossfadev1.Tls{ServerName: "a.internal", CaFile: "/ca.pem", InsecureSkipVerify: true}, "exclusive", "caFile"),
		{"capacity of nothing", func(d *crossfadev1.Service) { d.Origins[1].Capacity = &crossfadev1.Capacity{} }, list("out_of_range", "origins[1].capacity.requestsPerSecond")},
		{"zone without a number", func(d *crossfadev1.Service) { d.Origins[1].Zone = &crossfadev1.ZonePreference{} }, list("out_of_range", "origins[1].zone.minEndpoints")},
		{"zone of addresses in the document", func(d *crossfadev1.Service) {
			d.Origins[1].Zone = &crossfadev1.ZonePreference{MinEndpoints: 2}
		}, list("zone_unknown", "origins[1].zone")},
		{"slow start below", func(d *crossfadev1.Service) { d.Origins[1].SlowStart = durationpb.New(-1) }, list("duration_negative", "origins[1].slowStart")},
	}
}
