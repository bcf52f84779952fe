package cloudmap

import (
	"context"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// How much is asked for at once. Of discovery AWS allows 1000 and knows no next page; of the rest, 100.
const (
	maxDiscovered = 1000
	pageSize      = 100
	maxPages      = 1000
)

// newClient makes a client. The SDK puts "data-" before the host of what discovers, which is right for AWS. An endpoint that somebody
// configured is one host for all: there the prefix is left out.
func newClient(cfg sdk.Config) *servicediscovery.Client {
	return servicediscovery.NewFromConfig(cfg, func(o *servicediscovery.Options) {
		if o.BaseEndpoint != nil {
			o.APIOptions = append(o.APIOptions, noHostPrefix)
		}
	})
}

func noHostPrefix(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("crossfade/noHostPrefix",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
}

// discover asks for all instances at once. It does not get more than maxDiscovered.
func discover(ctx context.Context, c *servicediscovery.Client, t Target) ([]instance, error) {
	answer, err := c.DiscoverInstances(ctx, &servicediscovery.DiscoverInstancesInput{
		NamespaceName: &t.Namespace, ServiceName: &t.Service,
		HealthStatus: types.HealthStatusFilterAll, MaxResults: sdk.Int32(maxDiscovered),
	})
	if err != nil {
		return nil, &callError{"DiscoverInstances", err}
	}
	out := make([]instance, len(answer.Instances))
	for i, found := range answer.Instances {
		out[i] = instance{id: sdk.ToString(found.InstanceId), health: string(found.HealthStatus), attributes: found.Attributes}
	}
	return out, nil
}

// list asks for the instances of a service page by page, and for their health likewise. It also says how many pages that were.
func list(ctx context.Context, c *servicediscovery.Client, service string) (out []instance, calls int, err error) {
	err = pages("ListInstances", func(token *string) (*string, error) {
		calls++
		answer, err := c.ListInstances(ctx, &servicediscovery.ListInstancesInput{ServiceId: &service, MaxResults: sdk.Int32(pageSize), NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, found := range answer.Instances {
			out = append(out, instance{id: sdk.ToString(found.Id), attributes: found.Attributes})
		}
		return answer.NextToken, nil
	})
	if err != nil {
		return nil, calls, err
	}
	health := make(map[string]string, len(out))
	err = pages("GetInstancesHealthStatus", func(token *string) (*string, error) {
		calls++
		answer, err := c.GetInstancesHealthStatus(ctx, &servicediscovery.GetInstancesHealthStatusInput{ServiceId: &service, MaxResults: sdk.Int32(pageSize), NextToken: token})
		if err != nil {
			return nil, err
		}
		for id, status := range answer.Status {
			health[id] = string(status)
		}
		return answer.NextToken, nil
	})
	for i := range out {
		out[i].health = health[out[i].id]
		if out[i].health == "" {
			out[i].health = healthUnknown // registered since, or without a health check
		}
	}
	return out, calls, err
}

// serviceID asks for the ID of a service, which pages of instances are asked for by.
func serviceID(ctx context.Context, c *servicediscovery.Client, t Target) (string, error) {
	namespace, err := namespaceID(ctx, c, t)
	if err != nil {
		return "", err
	}
	id := ""
	err = pages("ListServices", func(token *string) (*string, error) {
		answer, err := c.ListServices(ctx, &servicediscovery.ListServicesInput{
			MaxResults: sdk.Int32(pageSize), NextToken: token,
			Filters: []types.ServiceFilter{{Name: types.ServiceFilterNameNamespaceId, Condition: types.FilterConditionEq, Values: []string{namespace}}},
		})
		if err != nil {
			return nil, err
		}
		for _, s := range answer.Services {
			if sdk.ToString(s.Name) == t.Service {
				id = sdk.ToString(s.Id)
			}
		}
		return answer.NextToken, nil
	})
	if err == nil && id == "" {
		err = &callError{"ListServices", &types.ServiceNotFound{}}
	}
	return id, err
}

func namespaceID(ctx context.Context, c *servicediscovery.Client, t Target) (string, error) {
	id := ""
	err := pages("ListNamespaces", func(token *string) (*string, error) {
		answer, err := c.ListNamespaces(ctx, &servicediscovery.ListNamespacesInput{
			MaxResults: sdk.Int32(pageSize), NextToken: token,
			Filters: []types.NamespaceFilter{{Name: types.NamespaceFilterNameHttpName, Condition: types.FilterConditionEq, Values: []string{t.Namespace}}},
		})
		if err != nil {
			return nil, err
		}
		for _, n := range answer.Namespaces {
			if httpName(n) == t.Namespace {
				id = sdk.ToString(n.Id)
			}
		}
		return answer.NextToken, nil
	})
	if err == nil && id == "" {
		err = &callError{"ListNamespaces", &types.NamespaceNotFound{}}
	}
	return id, err
}

// httpName is the name by which discovery finds a namespace. It differs from the name if that was used before.
func httpName(n types.NamespaceSummary) string {
	if n.Properties != nil && n.Properties.HttpProperties != nil && sdk.ToString(n.Properties.HttpProperties.HttpName) != "" {
		return *n.Properties.HttpProperties.HttpName
	}
	return sdk.ToString(n.Name)
}

// pages asks for page after page. There is an end to it, whatever AWS answers.
func pages(action string, ask func(token *string) (next *string, err error)) error {
	var token *string
	for range maxPages {
		next, err := ask(token)
		if err != nil {
			return &callError{action, err}
		}
		if sdk.ToString(next) == "" {
			return nil
		}
		token = next
	}
	return &policy.Error{
		Kind: policy.Unavailable, Code: "cloudmap_too_many",
		Message: fmt.Sprintf("Cloud Map answers servicediscovery:%s with more than %d pages", action, maxPages),
	}
}
