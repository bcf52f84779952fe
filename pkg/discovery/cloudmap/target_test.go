package cloudmap

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestCheck(t *testing.T) {
	for _, good := range []Target{
		orders(),
		{Namespace: "shop", Service: "orders"},
		{Namespace: "shop.internal", Service: "_orders._tcp", Port: 8080},
		{Region: "us-gov-west-1", Namespace: "ns", Service: "srv", Port: 65535},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for name, c := range map[string]struct {
		target Target
		want   string // "field code" of each error
	}{
		"empty":        {Target{}, "namespace namespace_invalid, service service_invalid"},
		"spaces":       {Target{Namespace: "my shop", Service: "orders\n"}, "namespace namespace_invalid, service service_invalid"},
		"too long":     {Target{Namespace: strings.Repeat("a", 1025), Service: "orders"}, "namespace namespace_invalid"},
		"IDs":          {Target{Namespace: "ns-x2", Service: "srv-x3"}, "namespace namespace_invalid, service service_invalid"},
		"ARNs":         {Target{Namespace: "arn:aws:servicediscovery:eu-central-1:1:namespace/ns-x", Service: "orders"}, "namespace namespace_invalid"},
		"ports":        {Target{Namespace: "shop", Service: "orders", Port: 65536}, "port port_invalid"},
		"below":        {Target{Namespace: "shop", Service: "orders", Port: -1}, "port port_invalid"},
		"zone":         {Target{Region: "eu-central-1a", Namespace: "shop", Service: "orders"}, "region aws_region_invalid"},
		"all of these": {Target{Region: "x", Port: -1}, "region aws_region_invalid, namespace namespace_invalid, service service_invalid, port port_invalid"},
	} {
		var wrong policy.Errors
		if err := c.target.Check(); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, e := range wrong {
			got = append(got, e.Field+" "+e.Code)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
