package main

import (
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

const (
	measured = "orders" // the service that flips
	oldName  = "eks"    // where a rollback leaves from
	newName  = "ecs"    // the primary
)

// measuredHosts are the hosts of the measured service, one for each proxy.
func measuredHosts(proxies int) (out []string) {
	for n := range proxies {
		out = append(out, fmt.Sprintf("p%d.orders.test", n+1))
	}
	return out
}

func neighbour(i int) string { return fmt.Sprintf("svc-%03d", i) }

// service has six routes: five pins, one of them a regular expression, and the split.
func service(name string, hosts []string, ecs, eks []string) *crossfadev1.Service {
	value := func(key string) *crossfadev1.ValueMatch {
		return &crossfadev1.ValueMatch{Name: key, Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}
	}
	return &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Fleet: "default", Hosts: hosts, Primary: newName,
		Origins: []*crossfadev1.Origin{originOf(newName, ecs), originOf(oldName, eks)},
		Pins: []*crossfadev1.Pin{
			{Name: "beta", Origin: oldName, Match: &crossfadev1.Pin_Header{Header: value("x-beta")}},
			{Name: "tester", Origin: oldName, Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{
				Name: "x-user", Condition: &crossfadev1.ValueMatch_Regex{Regex: "test-[0-9]+"},
			}}},
			{Name: "cookie", Origin: oldName, Match: &crossfadev1.Pin_Cookie{Cookie: value("beta")}},
			{Name: "query", Origin: oldName, Match: &crossfadev1.Pin_Query{Query: value("beta")}},
			{Name: "stay", Origin: newName, Match: &crossfadev1.Pin_Header{Header: value("x-stay")}},
		},
	}
}

func originOf(name string, endpoints []string) *crossfadev1.Origin {
	return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: endpoints}}}
}

// neighbourService is another service of the fleet.
func neighbourService(i int, ecs, eks string) *crossfadev1.Service {
	return service(neighbour(i), []string{neighbour(i) + ".test"}, []string{ecs}, []string{eks})
}

// withIdle changes the structure of a service: its idle timeout, and so its routes.
func withIdle(s *crossfadev1.Service, seconds int64) *crossfadev1.Service {
	s.Timeouts = &crossfadev1.Timeouts{Idle: &durationpb.Duration{Seconds: seconds}}
	return s
}

func documents(services ...*crossfadev1.Service) (out []*crossfadev1.Document) {
	for _, s := range services {
		out = append(out, &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}})
	}
	return out
}
