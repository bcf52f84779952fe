package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/internal/deploys"
	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// churn is a Crossfade whose origins are pods and tasks that come and go.
type churn struct {
	*world
	namespace string
	extra     map[string]uint64 // requests of a service that a test sent beside its load

	kube  *kubetest.Server
	aws   *awstest.ECS
	pods  *deploys.Kubernetes
	tasks *deploys.ECS
}

const replicas = 4 // of each origin

// newChurn starts a control plane that follows an API server and an ECS of its own, one proxy, and the replicas.
func newChurn(t *testing.T, s *kubetest.Server, version string) *churn {
	t.Helper()
	w := &churn{kube: s, aws: awstest.StartECS(t), namespace: s.Namespace("churn"), extra: map[string]uint64{}}
	config := s.Kubeconfig(kubetest.Admin)
	w.aws.CreateCluster("prod")
	w.aws.SetService("prod", "orders", replicas)
	file := filepath.Join(t.TempDir(), "server.yaml")
	text := fmt.Sprintf("kubernetes: [{name: test, kubeconfig: {file: %q, context: user}}]\naws: {endpoint: %q, poll: 1s}\nmap-addresses: 10.0.0.0/8=127.0.0.0/8\n", config, w.aws.URL())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.world = newWorldOf(t, version, 1, func(c *stack.Config) {
		c.File, c.Env = file, []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true"}
	})
	var err error
	w.pods, err = deploys.NewKubernetes(deploys.Cluster{Kubeconfig: config, Namespace: w.namespace, Service: "orders"}, deploys.Spec{Name: "eks", Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pods.Close)
	w.tasks = deploys.NewECS(w.aws, deploys.Service{Cluster: "prod", Name: "orders", Container: "app"}, deploys.Spec{Name: "ecs", Port: 8080})
	t.Cleanup(w.tasks.Close)
	if err := w.pods.Scale(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
	if err := w.tasks.Scale(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
	return w
}

// good makes all applications good ones: at SIGTERM they serve on for longer than it takes until everybody knows, also where the machine has
// much to do. ECS is polled, and a task takes longer to start than from one poll to the next: if all of them stopped within one, nobody would know of
// an endpoint that does not ask its connections to leave.
func (w *churn) good() {
	life := func(start, lameDuck time.Duration) deploys.Life {
		return deploys.Life{App: deploys.App{LameDuck: lameDuck, Latency: 5 * time.Millisecond}, Start: start, Grace: 30 * time.Second}
	}
	w.pods.SetLife(life(50*time.Millisecond, 3*time.Second))
	w.tasks.SetLife(life(1500*time.Millisecond, 5*time.Second))
}

// replaceAll replaces every pod and every task.
func (w *churn) replaceAll() {
	w.t.Helper()
	done := make(chan error, 1)
	go func() { done <- w.tasks.Replace(w.t.Context(), deploys.Rollout{Surge: 2}) }()
	err := w.pods.Replace(w.t.Context(), deploys.Rollout{Surge: 2})
	if err := errors.Join(err, <-done); err != nil {
		w.t.Fatal(err)
	}
}

// discovered is a service with half of its requests at the pods and half at the tasks.
func (w *churn) discovered(name, protocol string) *crossfadev1.Document {
	doc := w.service(name, protocol, 5000)
	ecs, eks := doc.GetService().Origins[0], doc.GetService().Origins[1]
	ecs.Discovery = &crossfadev1.Origin_Ecs{Ecs: &crossfadev1.EcsService{Region: "eu-central-1", Cluster: "prod", Service: "orders", Container: "app", Port: 8080}}
	eks.Discovery = &crossfadev1.Origin_Kubernetes{Kubernetes: &crossfadev1.KubernetesService{Cluster: "test", Namespace: w.namespace, Service: "orders", Port: "http"}}
	return doc
}

// stale is the same with the addresses of this moment, which nobody updates, and without retries.
func (w *churn) stale(name string) *crossfadev1.Document {
	doc := w.service(name, "http1", 5000)
	doc.GetService().Retries = &crossfadev1.Retries{On: []string{"none"}}
	for i, replicas := range [][]*deploys.Replica{w.tasks.Running(), w.pods.Running()} {
		static := &crossfadev1.StaticEndpoints{}
		for _, r := range replicas {
			static.Endpoints = append(static.Endpoints, r.Addr())
		}
		doc.GetService().Origins[i].Discovery = &crossfadev1.Origin_Static{Static: static}
	}
	return doc
}

// settled waits until both origins of the services answer.
func (w *churn) settled(services ...string) {
	w.t.Helper()
	w.ready()
	for _, s := range services {
		w.await(s+" to be answered by both origins", func() bool { return w.asked(w.Proxies[0], s) == "ecs+eks" })
	}
}

// mix is a load of which every fifth request is a POST.
type mix struct {
	*loadgen.Run
	service string
	before  uint64 // requests of the service that had arrived before
	once    sync.Once
	report  *loadgen.Report
}

func (w *churn) mix(service string, p loadgen.Protocol) *mix {
	w.t.Helper()
	const rate, body = 200, "a body that is sent once"
	m := &mix{service: service, before: w.arrived(service)}
	var err error
	m.Run, err = loadgen.Start(w.t.Context(), loadgen.Config{
		Target: net.JoinHostPort(w.Proxies[0].Host, strconv.Itoa(w.port)), Protocol: p, Rate: rate, Duration: 10 * time.Minute, Connections: 8,
		Make: loadgen.WithPosts(5, loadgen.Request{Host: service + ".test", Path: "/"}, []byte(body)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { m.sum() })
	return m
}

// sum ends the load and returns what became of it.
func (m *mix) sum() *loadgen.Report {
	m.once.Do(func() {
		m.Stop()
		m.report = m.Wait()
	})
	return m.report
}

func (w *churn) arrived(service string) uint64 {
	return w.pods.Arrived(service+".test") + w.tasks.Arrived(service+".test")
}

// more waits until so many requests more have arrived.
func (w *churn) more(m *mix, n uint64) {
	w.t.Helper()
	want := w.arrived(m.service) + n
	w.await("more requests", func() bool { return w.arrived(m.service) >= want })
}

// none ends a load and fails the test if a request of it failed, or arrived not exactly once.
func (w *churn) none(m *mix) {
	w.t.Helper()
	r := m.sum()
	noneFailed(w.t, r, 200)
	if r.OriginErrors > 0 {
		w.t.Errorf("%s: %d answers were errors: %v", m.service, r.OriginErrors, r.ByStatus)
	}
	if sent, n := r.Done+w.extra[m.service], w.arrived(m.service)-m.before; n != sent {
		w.t.Errorf("%s: %d requests were sent, %d arrived", m.service, sent, n)
	}
}

// refused is how many connections to endpoints of each origin did not come about, by Envoy's name of the figure.
func (w *churn) refused() map[string]uint64 {
	w.t.Helper()
	stats, err := w.Proxies[0].Stats(w.t.Context(), `^cluster\..*/e[ck]s\.upstream_cx_connect_fail$`)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(stats) == 0 {
		w.t.Fatal("Envoy tells no failed connections")
	}
	return stats
}
