package ecs

import (
	"context"
	"fmt"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// answer is what ECS said of a service.
type answer struct {
	at     time.Time
	meant  bool
	absent bool
}

// meantFor is how long it is not asked again whether a service is to have no tasks, once ECS said so and while it has none.
const meantFor = 30 * time.Second

// askServices asks of services that have nothing that takes requests whether that is meant, and puts the answers into the looks.
func (p *poller) askServices(ctx context.Context, services []string, looks map[Target]discovery.Look, at time.Time) {
	slices.Sort(services)
	services = slices.Compact(services)
	ask := slices.DeleteFunc(slices.Clone(services), func(s string) bool {
		a := p.answers[s]
		return a.meant && at.Sub(a.at) < meantFor
	})
	failed := map[string]error{}
	for batch := range slices.Chunk(ask, serviceBatch) {
		if err := p.askSome(ctx, batch, at); err != nil {
			for _, s := range batch {
				failed[s] = err
			}
		}
	}
	for t, l := range looks {
		if _, asked := slices.BinarySearch(services, t.Service); !asked || l.Err != nil || serving(l.Endpoints) {
			continue
		}
		a := p.answers[t.Service]
		switch {
		case failed[t.Service] != nil:
			l.Err = failed[t.Service]
		case a.absent:
			l.Err = missingService(t)
		default:
			l.Meant = a.meant
		}
		looks[t] = l
	}
}

// askSome asks of up to ten services.
func (p *poller) askSome(ctx context.Context, services []string, at time.Time) error {
	clients, err := p.region.get(ctx)
	if err != nil {
		return p.explain(err, "ECS", "ecs:DescribeServices")
	}
	out, err := clients.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &p.cluster, Services: services})
	if err != nil {
		return p.explain(err, "ECS", "ecs:DescribeServices")
	}
	told := map[string]bool{}
	for i := range out.Services {
		if err := p.sameAccount(sdk.ToString(out.Services[i].ServiceArn)); err != nil {
			return err
		}
		name := sdk.ToString(out.Services[i].ServiceName)
		told[name] = true
		p.answers[name] = answer{at: at, meant: meansNone(&out.Services[i])}
	}
	for _, f := range out.Failures {
		if reason := sdk.ToString(f.Reason); reason != missing {
			return p.odd("does not describe service %s: %s %s", sdk.ToString(f.Arn), reason, sdk.ToString(f.Detail))
		}
		name := after(sdk.ToString(f.Arn), "/")
		told[name] = true
		p.answers[name] = answer{at: at, absent: true}
	}
	if i := slices.IndexFunc(services, func(s string) bool { return !told[s] }); i >= 0 {
		return p.odd("was asked for %d services, and says nothing of %s", len(services), services[i])
	}
	return nil
}

// meansNone says that a service is to have no tasks: it is scaled to nothing, or deleted.
func meansNone(s *types.Service) bool {
	status := sdk.ToString(s.Status)
	return s.DesiredCount == 0 || status == "INACTIVE" || status == "DRAINING"
}

// missingService says that ECS does not know a service. It is no shrink: who asks the wrong account or region hears the same.
func missingService(t Target) error {
	return &policy.Error{
		Kind: policy.NotFound, Code: "ecs_service_missing", Value: t.Service,
		Message: fmt.Sprintf("there is no such service in ECS cluster %q in %s (yet)", t.Cluster, t.Region),
		Next:    fmt.Sprintf("see which there are with `aws ecs list-services --region %s --cluster %s`", t.Region, t.Cluster),
	}
}
