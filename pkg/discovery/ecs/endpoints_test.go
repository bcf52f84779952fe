package ecs

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func netipAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// own is a task in network mode awsvpc.
func own(arn, last, address string, containers ...container) task {
	t := task{arn: "task/" + arn, last: last, desired: running, own: true, ran: true, definition: "orders:1", zone: "a", containers: containers}
	t.address = parse(&address)
	return t
}

// onHost is a task in network mode bridge or host.
func onHost(arn, machine string, containers ...container) task {
	return task{arn: "task/" + arn, last: running, desired: running, ran: true, definition: "orders:1", machine: machine, containers: containers}
}

func app(name string, bindings ...binding) container {
	return container{name: name, last: running, bindings: bindings}
}

var twoMachines = map[string]machine{
	"i/1": {ec2: "i-1", address: netipAddr("10.9.0.1"), zone: "b"},
	"i/2": {ec2: "i-2", problem: "which EC2 does not know"},
}

func TestEndpointsOf(t *testing.T) {
	for name, c := range map[string]struct {
		container string
		tasks     []task
		want      string // addresses with ports, d if draining
		problems  string // codes
	}{
		"none":                         {},
		"awsvpc":                       {tasks: []task{own("1", running, "10.0.0.1"), own("2", running, "10.0.0.2")}, want: "10.0.0.1:8080 10.0.0.2:8080"},
		"IPv6":                         {tasks: []task{own("1", running, "fd00::1")}, want: "[fd00::1]:8080"},
		"IPv4 written as IPv6":         {tasks: []task{own("1", running, "::ffff:10.0.0.1")}, want: "10.0.0.1:8080"},
		"one that starts":              {tasks: []task{own("1", pending, ""), own("2", running, "10.0.0.2")}, want: "10.0.0.2:8080"},
		"one that stops":               {tasks: []task{own("1", stopping, "10.0.0.1"), own("2", running, "10.0.0.2")}, want: "10.0.0.1:8080d 10.0.0.2:8080"},
		"the container by name":        {container: "app", tasks: []task{own("1", running, "10.0.0.1", app("app"), app("log"))}, want: "10.0.0.1:8080"},
		"the container is not there":   {container: "api", tasks: []task{own("1", running, "10.0.0.1", app("log"), app("app"))}, problems: "ecs_container_missing"},
		"the container has stopped":    {container: "app", tasks: []task{own("1", running, "10.0.0.1", container{name: "app", last: stopped})}, want: "10.0.0.1:8080d"},
		"without an address":           {tasks: []task{own("1", running, "")}, problems: "ecs_address_missing"},
		"with an address that is none": {tasks: []task{own("1", running, "0.0.0.0"), own("2", running, "x")}, problems: "ecs_address_missing ecs_address_missing"},
		"on nothing":                   {tasks: []task{onHost("1", "", app("app", binding{8080, 8080, 1}))}, problems: "ecs_address_missing"},
		"one of two is malformed":      {tasks: []task{own("1", running, ""), own("2", running, "10.0.0.2")}, want: "10.0.0.2:8080", problems: "ecs_address_missing"},
		"malformed, but it stops":      {tasks: []task{own("1", stopping, ""), own("2", running, "10.0.0.2")}, want: "10.0.0.2:8080"},
		"an unknown word":              {tasks: []task{own("1", "SLEEPING", "10.0.0.1"), own("2", running, "10.0.0.2")}, want: "10.0.0.2:8080", problems: "ecs_status_unknown"},
		"the same address, stopped first": {
			tasks: []task{own("1", stopped, "10.0.0.1"), own("2", running, "10.0.0.1")}, want: "10.0.0.1:8080",
		},
		"the same address, stopped last": {
			tasks: []task{own("1", running, "10.0.0.1"), own("2", stopped, "10.0.0.1")}, want: "10.0.0.1:8080",
		},
		"ill with the address of one that stopped": {
			tasks: []task{own("1", stopped, "10.0.0.1"), withHealth(own("2", running, "10.0.0.1"), unhealthy)}, want: "10.0.0.1:8080",
		},
		"one is ill":                 {tasks: []task{withHealth(own("1", running, "10.0.0.1"), unhealthy), own("2", running, "10.0.0.2")}, want: "10.0.0.1:8080d 10.0.0.2:8080"},
		"all are ill":                {tasks: []task{withHealth(own("1", running, "10.0.0.1"), unhealthy), withHealth(own("2", running, "10.0.0.2"), unhealthy)}, want: "10.0.0.1:8080 10.0.0.2:8080"},
		"all that do not stop are":   {tasks: []task{withHealth(own("1", running, "10.0.0.1"), unhealthy), own("2", stopping, "10.0.0.2")}, want: "10.0.0.1:8080 10.0.0.2:8080d"},
		"bridge":                     {tasks: []task{onHost("1", "i/1", app("app", binding{8080, 8080, 32768})), onHost("2", "i/1", app("app", binding{8080, 8080, 32769}))}, want: "10.9.0.1:32768 10.9.0.1:32769"},
		"host":                       {tasks: []task{onHost("1", "i/1", app("app", binding{8080, 8080, 8080}))}, want: "10.9.0.1:8080"},
		"bridge, a range":            {tasks: []task{onHost("1", "i/1", app("app", binding{8000, 8100, 40000}))}, want: "10.9.0.1:40080"},
		"bridge, the port twice":     {tasks: []task{onHost("1", "i/1", app("app", binding{8080, 8080, 32769}, binding{8080, 8080, 32768}))}, want: "10.9.0.1:32768"},
		"bridge, another port":       {tasks: []task{onHost("1", "i/1", app("app", binding{80, 80, 32768}))}, problems: "ecs_port_missing"},
		"bridge, two have the port":  {tasks: []task{onHost("1", "i/1", app("app", binding{8080, 8080, 1}), app("log", binding{8080, 8080, 2}))}, problems: "ecs_port_ambiguous"},
		"bridge, the named has it":   {container: "log", tasks: []task{onHost("1", "i/1", app("app", binding{8080, 8080, 1}), app("log", binding{8080, 8080, 2}))}, want: "10.9.0.1:2"},
		"bridge, EC2 knows nothing":  {tasks: []task{onHost("1", "i/2", app("app", binding{8080, 8080, 1}))}, problems: "ecs_machine_unknown"},
		"bridge, ECS knows nothing":  {tasks: []task{onHost("1", "i/3", app("app", binding{8080, 8080, 1}))}, problems: "ecs_machine_unknown"},
		"bridge, the container dies": {tasks: []task{onHost("1", "i/1", container{name: "app", last: stopped, bindings: []binding{{8080, 8080, 1}}})}, want: "10.9.0.1:1d"},
	} {
		t.Run(name, func(t *testing.T) {
			target := orders
			target.Container = c.container
			endpoints, problems := endpointsOf(c.tasks, twoMachines, target)
			var words, codes []string
			for _, e := range endpoints {
				word := e.Address.String()
				if e.State == discovery.Draining {
					word += "d"
				}
				words = append(words, word)
			}
			for _, p := range problems {
				codes = append(codes, p.err.Code)
				if p.err.Kind != policy.NotFound || !strings.Contains(p.err.Message, "of "+orders.String()) || !strings.Contains(p.err.Message, "orders:1") {
					t.Errorf("does not say whose task it is: %v", p.err)
				}
			}
			if got := strings.Join(words, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := strings.Join(codes, " "); got != c.problems {
				t.Errorf("problems %q, want %q", got, c.problems)
			}
		})
	}
}

func withHealth(t task, health string) task {
	t.health = health
	return t
}

func TestWhatIsSaidOfAnEndpoint(t *testing.T) {
	got, _ := endpointsOf([]task{withHealth(own("7f", running, "10.0.0.1"), "HEALTHY"), onHost("8f", "i/1", app("app", binding{8080, 8080, 9}))}, twoMachines, orders)
	want := []discovery.Endpoint{
		{
			Address: netip.MustParseAddrPort("10.0.0.1:8080"), Zone: "a", Health: "HEALTHY", State: discovery.Ready,
			Metadata: map[string]string{"task": "7f", "definition": "orders:1"},
		},
		{
			Address: netip.MustParseAddrPort("10.9.0.1:9"), Zone: "b", State: discovery.Ready,
			Metadata: map[string]string{"task": "8f", "definition": "orders:1", "instance": "i-1"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReadBinding(t *testing.T) {
	for name, c := range map[string]struct {
		in   types.NetworkBinding
		want binding
		ok   bool
	}{
		"a port":                 {types.NetworkBinding{ContainerPort: sdk.Int32(80), HostPort: sdk.Int32(32768), Protocol: "tcp"}, binding{80, 80, 32768}, true},
		"no protocol":            {types.NetworkBinding{ContainerPort: sdk.Int32(80), HostPort: sdk.Int32(32768)}, binding{80, 80, 32768}, true},
		"UDP":                    {types.NetworkBinding{ContainerPort: sdk.Int32(80), HostPort: sdk.Int32(32768), Protocol: "udp"}, binding{}, false},
		"no port of the host":    {types.NetworkBinding{ContainerPort: sdk.Int32(80)}, binding{}, false},
		"a port that is none":    {types.NetworkBinding{ContainerPort: sdk.Int32(80), HostPort: sdk.Int32(70000)}, binding{}, false},
		"a range":                {types.NetworkBinding{ContainerPortRange: sdk.String("80-89"), HostPortRange: sdk.String("1080-1089")}, binding{80, 89, 1080}, true},
		"ranges of other sizes":  {types.NetworkBinding{ContainerPortRange: sdk.String("80-89"), HostPortRange: sdk.String("1080-1090")}, binding{}, false},
		"a range that is none":   {types.NetworkBinding{ContainerPortRange: sdk.String("89-80"), HostPortRange: sdk.String("1089-1080")}, binding{}, false},
		"a range without a host": {types.NetworkBinding{ContainerPortRange: sdk.String("80-89")}, binding{}, false},
	} {
		got, ok := readBinding(&c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
}
