package ecs

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// needsMachine says that where a task is depends on its machine.
func (t task) needsMachine() bool {
	return !t.own && t.machine != "" && t.presence(nil) != absent
}

// settled says that asking again would say the same.
func (m machine) settled() bool {
	return m.address.IsValid() || m.ec2 != "" && !strings.HasPrefix(m.ec2, "i-")
}

// findMachines finds out where the machines are that tasks are on and that are not known yet. What is known stays: the address of a
// machine does not change.
func (p *poller) findMachines(ctx context.Context, byGroup map[string][]task) error {
	var unknown []string
	for _, tasks := range byGroup {
		for _, t := range tasks {
			if t.needsMachine() && !p.machines[t.machine].settled() {
				unknown = append(unknown, t.machine)
			}
		}
	}
	slices.Sort(unknown)
	for batch := range slices.Chunk(slices.Compact(unknown), describeBatch) {
		if err := p.findSome(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// findSome asks ECS which instances of EC2 the machines are, and EC2 where those are.
func (p *poller) findSome(ctx context.Context, arns []string) error {
	clients, err := p.region.get(ctx)
	if err != nil {
		return p.explain(err, "ECS", "ecs:DescribeContainerInstances")
	}
	out, err := clients.ecs.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{Cluster: &p.cluster, ContainerInstances: arns})
	if err != nil {
		return p.explain(err, "ECS", "ecs:DescribeContainerInstances")
	}
	var ids []string
	for i := range out.ContainerInstances {
		if id := sdk.ToString(out.ContainerInstances[i].Ec2InstanceId); strings.HasPrefix(id, "i-") {
			ids = append(ids, id)
		}
	}
	places, err := p.places(ctx, clients.ec2, ids)
	if err != nil {
		return err
	}
	for i := range out.ContainerInstances {
		c := &out.ContainerInstances[i]
		p.machines[sdk.ToString(c.ContainerInstanceArn)] = machineOf(c, places)
	}
	return nil
}

// places asks EC2 where instances are, by ID. It is asked with a filter: instances that it does not know are no error then, and AWS
// allows more such calls.
func (p *poller) places(ctx context.Context, cloud *ec2.Client, ids []string) (map[string]machine, error) {
	found := map[string]machine{}
	if len(ids) == 0 {
		return found, nil
	}
	in := &ec2.DescribeInstancesInput{MaxResults: sdk.Int32(1000), Filters: []ec2types.Filter{{Name: sdk.String("instance-id"), Values: ids}}}
	for range maxPages {
		out, err := cloud.DescribeInstances(ctx, in)
		if err != nil {
			return nil, p.explain(err, "EC2", "ec2:DescribeInstances")
		}
		for i := range out.Reservations {
			for j := range out.Reservations[i].Instances {
				read := &out.Reservations[i].Instances[j]
				found[sdk.ToString(read.InstanceId)] = placeOf(read)
			}
		}
		if sdk.ToString(out.NextToken) == "" {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
	return nil, p.odd("lists more than %d pages of instances", maxPages)
}

// placeOf reads where an instance is. It is pure.
func placeOf(in *ec2types.Instance) machine {
	var m machine
	for _, text := range []*string{in.PrivateIpAddress, in.Ipv6Address} {
		if !m.address.IsValid() {
			m.address = parse(text)
		}
	}
	if in.Placement != nil {
		m.zone = sdk.ToString(in.Placement.AvailabilityZone)
	}
	return m
}

// machineOf puts together what ECS and EC2 say of a machine. It is pure.
func machineOf(c *types.ContainerInstance, places map[string]machine) machine {
	id := sdk.ToString(c.Ec2InstanceId)
	m, known := places[id]
	m.ec2 = id
	switch {
	case !strings.HasPrefix(id, "i-"):
		m.problem = "which is not on EC2 (ECS Anywhere): AWS does not say its address"
	case !known:
		m.problem = "which EC2 does not know"
	case !m.address.IsValid():
		m.problem = "which has no private address"
	}
	for _, a := range c.Attributes {
		if m.zone == "" && sdk.ToString(a.Name) == "ecs.availability-zone" {
			m.zone = sdk.ToString(a.Value)
		}
	}
	return m
}
