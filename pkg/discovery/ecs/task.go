package ecs

import (
	"net/netip"
	"strconv"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// task is what we keep of a task.
type task struct {
	arn, group            string
	last, desired, health string // lastStatus, desiredStatus, healthStatus
	zone, definition      string
	machine               string     // ARN of its container instance; empty on Fargate
	own                   bool       // it has a network interface of its own: network mode awsvpc
	address               netip.Addr // of that; not valid if it is not known
	containers            []container
	ran                   bool // it has been RUNNING
}

type container struct {
	name, last, health string
	bindings           []binding // in network mode bridge and host
}

// binding says that the container's ports from…to are the host's from host on.
type binding struct{ from, to, host uint16 }

// read takes what we keep out of an answer. It is pure.
func read(in *types.Task) task {
	t := task{
		arn: sdk.ToString(in.TaskArn), group: sdk.ToString(in.Group),
		last: sdk.ToString(in.LastStatus), desired: sdk.ToString(in.DesiredStatus), health: string(in.HealthStatus),
		zone: sdk.ToString(in.AvailabilityZone), definition: after(sdk.ToString(in.TaskDefinitionArn), "/"),
		machine: sdk.ToString(in.ContainerInstanceArn), ran: in.StartedAt != nil || sdk.ToString(in.LastStatus) == running,
	}
	t.own, t.address = interfaceOf(in)
	for i := range in.Containers {
		c := &in.Containers[i]
		kept := container{name: sdk.ToString(c.Name), last: sdk.ToString(c.LastStatus), health: string(c.HealthStatus)}
		for j := range c.NetworkBindings {
			if b, ok := readBinding(&c.NetworkBindings[j]); ok {
				kept.bindings = append(kept.bindings, b)
			}
		}
		t.containers = append(t.containers, kept)
	}
	return t
}

// interfaceOf finds the network interface of a task, and its address: IPv4 if it has one. IPv6 addresses are said of containers only.
func interfaceOf(in *types.Task) (own bool, address netip.Addr) {
	for i := range in.Attachments {
		a := &in.Attachments[i]
		if sdk.ToString(a.Type) != "ElasticNetworkInterface" {
			continue
		}
		own = true
		for _, d := range a.Details {
			if sdk.ToString(d.Name) == "privateIPv4Address" {
				address = parse(d.Value)
			}
		}
	}
	for i := range in.Containers {
		for _, n := range in.Containers[i].NetworkInterfaces {
			own = true
			for _, text := range []*string{n.PrivateIpv4Address, n.Ipv6Address} {
				if !address.IsValid() {
					address = parse(text)
				}
			}
		}
	}
	return own, address
}

// parse returns an address that can be an endpoint, or one that is not valid.
func parse(text *string) netip.Addr {
	a, err := netip.ParseAddr(sdk.ToString(text))
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}
	}
	return a.Unmap()
}

// readBinding reads a binding of a TCP port, or of a range of them.
func readBinding(in *types.NetworkBinding) (binding, bool) {
	if in.Protocol != "" && in.Protocol != types.TransportProtocolTcp {
		return binding{}, false
	}
	if in.ContainerPortRange != nil {
		from, to, ok := ports(*in.ContainerPortRange)
		host, end, hostOK := ports(sdk.ToString(in.HostPortRange))
		return binding{from, to, host}, ok && hostOK && to-from == end-host
	}
	inside, outside := sdk.ToInt32(in.ContainerPort), sdk.ToInt32(in.HostPort)
	ok := inside > 0 && inside <= 65535 && outside > 0 && outside <= 65535
	return binding{uint16(inside), uint16(inside), uint16(outside)}, ok
}

// ports reads "8000-8010".
func ports(text string) (from, to uint16, ok bool) {
	first, last, _ := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	return uint16(a), uint16(b), errA == nil && errB == nil && a > 0 && a <= b
}

// later returns what is known of a task after a later answer. Where a task is does not change while it lives, but ECS may stop saying it
// as the task ends: then it is as it was.
func (t task) later(now task) task {
	now.ran = now.ran || t.ran
	if !now.address.IsValid() {
		now.own, now.address = t.own || now.own, t.address
	}
	if now.machine == "" {
		now.machine = t.machine
	}
	if now.zone == "" {
		now.zone = t.zone
	}
	for i := range now.containers {
		for _, was := range t.containers {
			if was.name == now.containers[i].name && len(now.containers[i].bindings) == 0 {
				now.containers[i].bindings = was.bindings
			}
		}
	}
	if len(now.containers) == 0 {
		now.containers = t.containers
	}
	return now
}

// id is the last part of the ARN.
func (t task) id() string { return after(t.arn, "/") }

func after(s, sep string) string { return s[strings.LastIndex(s, sep)+1:] }
