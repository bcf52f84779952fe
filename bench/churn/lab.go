package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/internal/deploys"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	system   = "crossfade"
	cluster  = "prod"         // of ECS
	region   = "eu-central-1" // of AWS
	appPort  = 8080           // of pods and tasks
	port     = 10000          // of the proxies
	patience = time.Minute    // for whatever must come
)

// lab is the sources, and what a control plane needs to follow them.
type lab struct {
	*options
	r          *report.Run
	tb         *harness
	kube       *kubetest.Server
	kubeconfig string
	aws        *awstest.ECS
	binary     string
	envoy      envoybin.Binary
}

func newLab(ctx context.Context, o *options, r *report.Run) (*lab, error) {
	l := &lab{options: o, r: r, tb: &harness{ctx: ctx}}
	err := l.tb.try(func() {
		l.kube = kubetest.Start(l.tb)
		l.kubeconfig = l.kube.Kubeconfig(kubetest.Admin)
		l.aws = awstest.StartECS(l.tb)
		l.aws.CreateCluster(cluster)
	})
	if err == nil {
		l.binary, err = stack.Build(ctx, l.tb.TempDir(), "xds-server")
	}
	if err == nil {
		l.envoy, err = envoybin.Find(ctx, envoybin.Newest, os.Stderr)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	r.Version("envoy", l.envoy.Version)
	return l, nil
}

func (l *lab) close() { l.tb.close() }

// fleet is a control plane with proxies.
type fleet struct{ *stack.Stack }

// fleet starts one. It asks ECS as often as poll says; 0 is its default.
func (l *lab) fleet(ctx context.Context, poll time.Duration) (fleet, error) {
	dir := l.tb.TempDir()
	text := fmt.Sprintf("kubernetes: [{name: test, kubeconfig: {file: %q, context: user}}]\naws: {endpoint: %q", l.kubeconfig, l.aws.URL())
	if poll > 0 {
		text += fmt.Sprintf(", poll: %s", poll)
	}
	file := filepath.Join(dir, "server.yaml")
	if err := os.WriteFile(file, []byte(text+"}\nmap-addresses: 10.0.0.0/8=127.0.0.0/8\n"), 0o600); err != nil {
		return fleet{}, err
	}
	s, err := stack.Start(ctx, stack.Config{
		Binary: l.binary, Envoy: l.envoy, Dir: dir, File: file,
		Env: []string{"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_EC2_METADATA_DISABLED=true"},
	})
	if err != nil {
		return fleet{}, err
	}
	f := fleet{s}
	for range l.proxies {
		if _, err := s.AddProxy(ctx, "default", 1); err != nil {
			s.Close()
			return fleet{}, err
		}
	}
	return f, nil
}

func (f fleet) targets() (out []string) {
	for _, p := range f.Proxies {
		out = append(out, net.JoinHostPort(p.Host, fmt.Sprint(port)))
	}
	return out
}

func (f fleet) apply(ctx context.Context, services ...*crossfadev1.Service) error {
	var docs []*crossfadev1.Document
	for _, s := range services {
		docs = append(docs, &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}})
	}
	_, err := f.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: docs, Options: &crossfadev1.ChangeOptions{
		Wait: crossfadev1.Wait_WAIT_NONE, Force: true, Timeout: durationpb.New(patience),
	}})
	return err
}

// known waits until the proxies are ready and every origin is known to have endpoints.
func (f fleet) known(ctx context.Context, origins int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, p := range f.Proxies {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return poll.Until(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		got, err := f.API.ListEndpoints(ctx, &crossfadev1.ListEndpointsRequest{})
		if err != nil {
			return err
		}
		ok := 0
		for _, o := range got.GetOrigins() {
			if o.GetReady() > 0 {
				ok++
			} else {
				err = fmt.Errorf("%s of %s is %s: %s", o.GetOrigin(), o.GetService(), o.GetState(), o.GetDetail())
			}
		}
		if ok < origins {
			return errors.Join(fmt.Errorf("%d of %d origins are known", ok, origins), err)
		}
		return nil
	})
}

// app is one application that runs on both.
type app struct {
	name      string
	namespace string
	pods      *deploys.Kubernetes
	tasks     *deploys.ECS
}

func (l *lab) app(ctx context.Context, name string, replicas int) (a *app, err error) {
	a = &app{name: name}
	if err := l.tb.try(func() { a.namespace = l.kube.Namespace(name) }); err != nil {
		return nil, err
	}
	l.aws.SetService(cluster, name, replicas)
	c := deploys.Cluster{Kubeconfig: l.kubeconfig, Namespace: a.namespace, Service: name}
	if a.pods, err = deploys.NewKubernetes(c, deploys.Spec{Name: "eks", Port: appPort}); err != nil {
		return nil, err
	}
	l.tb.Cleanup(a.pods.Close)
	a.tasks = deploys.NewECS(l.aws, deploys.Service{Cluster: cluster, Name: name, Container: "app"}, deploys.Spec{Name: "ecs", Port: appPort})
	l.tb.Cleanup(a.tasks.Close)
	return a, errors.Join(a.pods.Scale(ctx, replicas), a.tasks.Scale(ctx, replicas))
}

// on returns the replicas of one origin.
func (a *app) on(origin string) *deploys.Workload {
	if origin == "eks" {
		return a.pods.Workload
	}
	return a.tasks.Workload
}

// service is a document of an app whose requests go to one origin alone.
func (a *app) service(name, to, protocol string, hosts ...string) *crossfadev1.Service {
	return &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: hosts, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: port},
		Origins:  []*crossfadev1.Origin{ecsOrigin(cluster, a.name, protocol), eksOrigin(a.namespace, a.name, protocol)},
		Split:    &crossfadev1.Split{Weights: map[string]int32{to: 10000}},
	}
}

func ecsOrigin(cluster, service, protocol string) *crossfadev1.Origin {
	return &crossfadev1.Origin{Name: "ecs", Protocol: protocol, Discovery: &crossfadev1.Origin_Ecs{
		Ecs: &crossfadev1.EcsService{Region: region, Cluster: cluster, Service: service, Container: "app", Port: appPort},
	}}
}

func eksOrigin(namespace, service, protocol string) *crossfadev1.Origin {
	return &crossfadev1.Origin{Name: "eks", Protocol: protocol, Discovery: &crossfadev1.Origin_Kubernetes{
		Kubernetes: &crossfadev1.KubernetesService{Cluster: "test", Namespace: namespace, Service: service, Port: "http"},
	}}
}
