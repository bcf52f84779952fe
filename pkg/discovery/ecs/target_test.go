package ecs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestCheck(t *testing.T) {
	const arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/prod"
	change := func(f func(*Target)) Target {
		out := orders
		f(&out)
		return out
	}
	for name, c := range map[string]struct {
		target Target
		want   string // FIELD CODE, …
	}{
		"a service":        {orders, ""},
		"a cluster by ARN": {change(func(t *Target) { t.Cluster = arn }), ""},
		"in China": {change(func(t *Target) {
			t.Region, t.Cluster = "cn-north-1", "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/prod"
		}), ""},
		"a group":                 {change(func(t *Target) { t.Service, t.Group = "", "family:orders" }), ""},
		"a container":             {change(func(t *Target) { t.Container = "app" }), ""},
		"nothing":                 {Target{}, "region aws_region_missing, cluster ecs_cluster_invalid, service ecs_service_required, port port_invalid"},
		"a zone":                  {change(func(t *Target) { t.Region = "eu-central-1a" }), "region aws_region_invalid"},
		"an ARN of another place": {change(func(t *Target) { t.Region, t.Cluster = "eu-west-1", arn }), "cluster ecs_cluster_region"},
		"an ARN of something":     {change(func(t *Target) { t.Cluster = strings.Replace(arn, "cluster", "service", 1) }), "cluster ecs_cluster_invalid"},
		"a service by ARN":        {change(func(t *Target) { t.Service = "arn:aws:ecs:eu-central-1:123456789012:service/prod/orders" }), "service ecs_service_invalid"},
		"both":                    {change(func(t *Target) { t.Group = "x" }), "group ecs_group_and_service"},
		"the group of a service":  {change(func(t *Target) { t.Service, t.Group = "", "service:orders" }), "group ecs_group_invalid"},
		"a group of blanks":       {change(func(t *Target) { t.Service, t.Group = "", "a b" }), "group ecs_group_invalid"},
		"a container of blanks":   {change(func(t *Target) { t.Container = "a b" }), "container ecs_container_invalid"},
		"port 0":                  {change(func(t *Target) { t.Port = 0 }), "port port_invalid"},
		"port 65536":              {change(func(t *Target) { t.Port = 65536 }), "port port_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.target.Check()
			var es policy.Errors
			var got []string
			if errors.As(err, &es) {
				for _, e := range es {
					got = append(got, e.Field+" "+e.Code)
				}
			}
			if strings.Join(got, ", ") != c.want || (err == nil) != (c.want == "") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestTargetIsNamed(t *testing.T) {
	for want, target := range map[string]Target{
		`service "orders" in ECS cluster "prod"`:      orders,
		`group "family:orders" in ECS cluster "prod"`: {Cluster: "prod", Group: "family:orders"},
	} {
		if got := target.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{{Poll: 999 * time.Millisecond}, {Poll: -1}, {Rate: -1}} {
		if _, err := New(t.Context(), bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	c, err := New(t.Context(), Config{Poll: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Watch(t.Context(), Target{}, func(discovery.Look) { t.Error("told of a target that is none") }); !errors.As(err, new(policy.Errors)) {
		t.Errorf("got %v", err)
	}
}
