package policy_test

import (
	"fmt"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestCheckServices(t *testing.T) {
	a := mustCompile(t, orders())
	other := func(change func(*crossfadev1.Service)) *policy.Service { return mustCompile(t, named("carts", change)) }
	cases := []struct {
		name string
		b    *policy.Service
		want string
	}{
		{"same route", other(func(*crossfadev1.Service) {}), `hosts: "orders.test": services "orders" and "carts" both want host "orders.test" with path prefix "/" on port 10000 of fleet "default"; give one of them another host, path prefix, listener port or fleet`},
		{"another host", other(func(d *crossfadev1.Service) { d.Hosts = []string{"*.orders.test"} }), ""},
		{"another prefix", other(func(d *crossfadev1.Service) { d.PathPrefixes = []string{"/carts"} }), ""},
		{"another port", other(func(d *crossfadev1.Service) { d.Listener = &crossfadev1.Listener{Port: 8080} }), ""},
		{"another fleet", other(func(d *crossfadev1.Service) { d.Fleet = "edge" }), ""},
		{"written otherwise", other(func(d *crossfadev1.Service) {
			d.Hosts = []string{"ORDERS.test."}
			d.PathPrefixes = []string{"/x/", "/"}
		}), "both want host"},
		{"the same name", mustCompile(t, named("orders", func(d *crossfadev1.Service) { d.Hosts = []string{"x.test"} })), `name: "orders": two services are named "orders"; give each service a name of its own`},
	}
	for _, c := range cases {
		errs := policy.CheckServices([]*policy.Service{nil, a, c.b})
		if c.want == "" {
			if errs != nil {
				t.Errorf("%s: %s", c.name, errs)
			}
			continue
		}
		if len(errs) != 1 || !strings.Contains(errs.Error(), c.want) || errs[0].Document != 2 || errs[0].Kind != policy.Invalid {
			t.Errorf("%s: %s", c.name, errs)
		}
	}
}

// Two thousand services that all clash are told in one pass: each clash names the service that had the route first.
func TestCheckServicesManyClashes(t *testing.T) {
	var services []*policy.Service
	for i := range 2000 {
		services = append(services, mustCompile(t, named(fmt.Sprint("s", i), func(d *crossfadev1.Service) { d.Hosts = []string{"a.test", fmt.Sprintf("s%d.test", i)} })))
	}
	errs := policy.CheckServices(services)
	if len(errs) != 1999 || !strings.Contains(errs[1998].Message, `"s0" and "s1999"`) {
		t.Errorf("%d errors, the last %s", len(errs), errs[len(errs)-1])
	}
}
