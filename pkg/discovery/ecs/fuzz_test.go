package ecs

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// FuzzEndpointsOf: whatever tasks there are, what is made of them is in order, each address once, and the same for shuffled tasks; only
// what runs and is to run takes requests; and if something that can be read runs, something takes requests.
func FuzzEndpointsOf(f *testing.F) {
	f.Add([]byte{3, 0, 0, 1, 1, 3, 1, 0, 2, 0, 6, 1, 0, 1, 1, 3, 0, 3, 1, 2}, "app", uint64(1))
	f.Add([]byte{2, 0, 8, 0, 0, 3, 0, 8, 1, 0, 3, 6, 9, 2, 1, 8, 1, 8, 0, 0}, "api", uint64(2))                 // awsvpc: running twice, ill, stopped
	f.Add([]byte{3, 0, 16, 1, 4, 3, 0, 16, 2, 5, 3, 0, 24, 3, 6, 5, 1, 16, 1, 7}, "8000-8100", uint64(3))       // on machines
	f.Add([]byte{3, 6, 8, 0, 0, 3, 6, 9, 0, 0, 3, 6, 10, 0, 0}, "app", uint64(4))                               // all ill
	f.Add([]byte{10, 0, 8, 0, 0, 9, 0, 8, 0, 0, 3, 0, 12, 0, 0, 3, 0, 13, 0, 0, 3, 0, 15, 0, 0}, "", uint64(5)) // what cannot be read
	f.Fuzz(func(t *testing.T, in []byte, name string, seed uint64) {
		target := Target{Region: region1, Cluster: "prod", Service: "orders", Port: 8080}
		if len(in) > 0 && in[0]&1 == 1 {
			target.Container = name
		}
		var tasks []task
		for n := 0; len(in) >= 5; in, n = in[5:], n+1 {
			one := inventTask(n, [5]byte(in), name)
			tasks = append(tasks, read(&one))
		}
		got, problems := endpointsOf(tasks, twoMachines, target)
		checkEndpoints(t, tasks, got, target)
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
		again, problemsAgain := endpointsOf(tasks, twoMachines, target)
		if !reflect.DeepEqual(got, again) || len(problems) != len(problemsAgain) {
			t.Fatalf("shuffled: %+v, was %+v", again, got)
		}
		for _, p := range problems {
			var e *policy.Error
			if !errors.As(p.err, &e) || e.Code == "" || p.arn == "" {
				t.Fatalf("problem %+v", p)
			}
		}
	})
}

var statuses = []string{provisioning, pending, activating, running, deactivating, stopping, deprovisioning, stopped, deleted, "", "SLEEPING"}

// inventTask makes a task as ECS might describe it out of five bytes.
func inventTask(n int, b [5]byte, name string) types.Task {
	out := types.Task{
		TaskArn: sdk.String("arn:aws:ecs:eu-central-1:1:task/prod/" + string(rune('a'+n%26)) + strings.Repeat("x", n/26)), Group: sdk.String("service:orders"),
		LastStatus: sdk.String(statuses[int(b[0])%len(statuses)]), DesiredStatus: sdk.String([]string{running, stopped}[b[1]&1]),
		HealthStatus: []types.HealthStatus{"", "UNKNOWN", "HEALTHY", unhealthy}[b[1]>>1&3], TaskDefinitionArn: sdk.String(name),
	}
	text := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "", "fe80::1%eth0", name, "224.0.0.1"}[b[2]&7]
	if b[2]>>3&1 == 1 {
		out.Attachments = []types.Attachment{{Type: sdk.String("ElasticNetworkInterface"), Details: []types.KeyValuePair{
			{Name: sdk.String("privateIPv4Address"), Value: sdk.String(text)}, {},
		}}}
	}
	if b[2]>>4&1 == 1 {
		out.ContainerInstanceArn = sdk.String([]string{"i/1", "i/2", "i/3"}[int(b[3])%3])
	}
	for i := range b[3] & 3 {
		out.Containers = append(out.Containers, types.Container{
			Name: sdk.String([]string{"app", name, "log"}[i%3]), LastStatus: sdk.String([]string{running, stopped}[b[4]&1]),
			NetworkBindings: []types.NetworkBinding{{ContainerPort: sdk.Int32(8080), HostPort: sdk.Int32(int32(b[4]) << 8)}, {ContainerPortRange: sdk.String(name)}},
		})
	}
	return out
}

func checkEndpoints(t *testing.T, tasks []task, got []discovery.Endpoint, target Target) {
	t.Helper()
	byID := map[string]task{}
	runs := false
	for _, one := range tasks {
		byID[one.id()] = one
		_, _, problem := one.port(target)
		runs = runs || problem == nil && one.last == running && one.desired == running && one.own && one.address.IsValid() && target.Container == ""
	}
	for i, e := range got {
		one := byID[e.Metadata["task"]]
		switch {
		case i > 0 && got[i-1].Address.Compare(e.Address) >= 0:
			t.Fatalf("not in order, or twice: %v", got)
		case !e.Address.IsValid() || e.Address.Port() == 0:
			t.Fatalf("address %v", e.Address)
		case e.State == discovery.Ready && (one.last != running || one.desired != running):
			t.Fatalf("%s, to be %s, takes requests", one.last, one.desired)
		case e.State != discovery.Ready && e.State != discovery.Draining:
			t.Fatalf("state %q", e.State)
		}
	}
	if runs && !serving(got) {
		t.Fatalf("something runs, and nothing takes requests: %+v", got)
	}
}
