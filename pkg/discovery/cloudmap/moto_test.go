package cloudmap

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
)

// emulator is a moto with a client of it.
type emulator struct {
	t *testing.T
	*servicediscovery.Client
	url string
}

// TestAgainstMoto asks a server that others wrote.
func TestAgainstMoto(t *testing.T) {
	environment(t, true)
	m := awstest.StartMoto(t)
	e := &emulator{t: t, Client: newClient(m.Config(region)), url: m.URL}
	for name, test := range map[string]func(*testing.T, *emulator){
		"changes":                   motoChanges,
		"many instances":            motoPages,
		"in what it differs of AWS": motoDiffers,
	} {
		t.Run(name, func(t *testing.T) { test(t, &emulator{t, e.Client, e.url}) })
	}
}

func motoChanges(t *testing.T, e *emulator) {
	s := open(t, nil, Config{Endpoint: e.url, Poll: 20 * time.Millisecond})
	w := follow(t, s, Target{Region: region, Namespace: "changes", Service: "orders"})
	w.await("error cloudmap_namespace_missing")
	namespace := e.namespace("changes")
	w.await("error cloudmap_service_missing")
	service := e.service(namespace, "orders")
	w.await("")
	e.register(service, "10.1.0.1")
	e.register(service, "10.1.0.2")
	l := w.await(healthy("10.1.0.1", "10.1.0.2"))
	if got := l.Endpoints[1].Metadata; got["instance"] != "10.1.0.2" || got["version"] != "7" {
		t.Errorf("metadata %v", got)
	}
	e.health(service, "10.1.0.1", types.CustomHealthStatusUnhealthy)
	w.await("10.1.0.1:8080 unhealthy a draining, 10.1.0.2:8080 healthy a")
	e.health(service, "10.1.0.2", types.CustomHealthStatusUnhealthy)
	w.await("10.1.0.1:8080 unhealthy a, 10.1.0.2:8080 unhealthy a")
	e.health(service, "10.1.0.1", types.CustomHealthStatusHealthy)
	w.await("10.1.0.1:8080 healthy a, 10.1.0.2:8080 unhealthy a draining")
	e.deregister(service, "10.1.0.2")
	w.await(healthy("10.1.0.1"))
	e.deregister(service, "10.1.0.1")
	w.await("")
	e.must(e.DeleteService(t.Context(), &servicediscovery.DeleteServiceInput{Id: &service}))
	w.await("error cloudmap_service_missing")
	if calls := s.Calls(); len(calls) != 1 || calls["DiscoverInstances"] < 8 {
		t.Errorf("asked %v", calls)
	}
}

// motoPages: one answer does not hold all, so pages are asked for.
func motoPages(t *testing.T, e *emulator) {
	service := e.service(e.namespace("many"), "payments") // a name that no other namespace has: moto does not filter
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := range 252 {
				e.register(service, fmt.Sprintf("10.2.%d.%d", part, i))
			}
		})
	}
	wg.Wait()
	e.health(service, "10.2.0.0", types.CustomHealthStatusUnhealthy)
	s := open(t, nil, Config{Endpoint: e.url, Poll: time.Minute}) // one look
	l := follow(t, s, Target{Region: region, Namespace: "many", Service: "payments"}).next()
	if l.Err != nil || len(l.Endpoints) != 1008 || !strings.HasPrefix(told(l), "10.2.0.0:8080 unhealthy a draining, 10.2.0.1:8080 healthy a, ") {
		t.Errorf("%d endpoints, %v: %.100s", len(l.Endpoints), l.Err, told(l))
	}
	if calls := s.Calls(); calls["ListInstances"] != 11 || calls["GetInstancesHealthStatus"] != 11 || calls["DiscoverInstances"] != 1 {
		t.Errorf("asked %v", calls)
	}
}

// motoDiffers holds why the fake is there, and why nothing here rests on these. Where moto has become better, take the line away.
func motoDiffers(t *testing.T, e *emulator) {
	namespace := e.namespace("differs")
	service := e.service(namespace, "refunds")
	ask := func() *servicediscovery.DiscoverInstancesOutput {
		answer, err := e.DiscoverInstances(t.Context(), &servicediscovery.DiscoverInstancesInput{NamespaceName: sdk.String("differs"), ServiceName: sdk.String("refunds")})
		e.must(answer, err)
		return answer
	}
	for i := range 101 {
		e.register(service, fmt.Sprintf("10.3.0.%d", i))
	}
	e.health(service, "10.3.0.0", types.CustomHealthStatusUnhealthy)
	all := ask()
	if len(all.Instances) != 101 {
		t.Errorf("without a limit and a health status it tells %d; AWS tells 100, and none that is unhealthy while others are not", len(all.Instances))
	}
	e.deregister(service, "10.3.0.1")
	fewer := ask()
	if *fewer.InstancesRevision >= *all.InstancesRevision {
		t.Errorf("its revision grew from %d to %d when an instance left; AWS's does, moto's shrank", *all.InstancesRevision, *fewer.InstancesRevision)
	}
	e.register(service, "10.3.0.200")
	if other := ask(); *other.InstancesRevision != *all.InstancesRevision {
		t.Errorf("its revision is %d with other instances, not %d as before", *other.InstancesRevision, *all.InstancesRevision)
	}
	e.register(service, "10.3.0.2")
	if twice := ask(); len(twice.Instances) != 102 {
		t.Errorf("it replaced an instance that was registered again: %d", len(twice.Instances))
	}
	none, err := e.ListNamespaces(t.Context(), &servicediscovery.ListNamespacesInput{
		Filters: []types.NamespaceFilter{{Name: types.NamespaceFilterNameHttpName, Condition: types.FilterConditionEq, Values: []string{"nobody"}}},
	})
	if e.must(none, err); len(none.Namespaces) == 0 {
		t.Error("it filters namespaces")
	}
}

func (e *emulator) must(_ any, err error) {
	e.t.Helper()
	if err != nil {
		e.t.Error(err)
	}
}

// namespace makes a namespace and returns its ID.
func (e *emulator) namespace(name string) string {
	e.t.Helper()
	e.must(e.CreateHttpNamespace(e.t.Context(), &servicediscovery.CreateHttpNamespaceInput{Name: &name}))
	list, err := e.ListNamespaces(e.t.Context(), &servicediscovery.ListNamespacesInput{})
	e.must(list, err)
	for _, n := range list.Namespaces {
		if *n.Name == name {
			return *n.Id
		}
	}
	e.t.Fatalf("no namespace %q", name)
	return ""
}

func (e *emulator) service(namespace, name string) string {
	e.t.Helper()
	answer, err := e.CreateService(e.t.Context(), &servicediscovery.CreateServiceInput{
		Name: &name, NamespaceId: &namespace, HealthCheckCustomConfig: &types.HealthCheckCustomConfig{},
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return *answer.Service.Id
}

func (e *emulator) register(service, address string) {
	e.t.Helper()
	e.must(e.RegisterInstance(e.t.Context(), &servicediscovery.RegisterInstanceInput{
		ServiceId: &service, InstanceId: &address,
		Attributes: map[string]string{attributeIPv4: address, attributePort: "8080", attributeZone: "a", "version": "7"},
	}))
}

func (e *emulator) deregister(service, id string) {
	e.t.Helper()
	e.must(e.DeregisterInstance(e.t.Context(), &servicediscovery.DeregisterInstanceInput{ServiceId: &service, InstanceId: &id}))
}

func (e *emulator) health(service, id string, status types.CustomHealthStatus) {
	e.t.Helper()
	e.must(e.UpdateInstanceCustomHealthStatus(e.t.Context(), &servicediscovery.UpdateInstanceCustomHealthStatusInput{
		ServiceId: &service, InstanceId: &id, Status: status,
	}))
}
