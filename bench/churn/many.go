package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	perNamespace = 20   // services
	perCluster   = 50   // services of ECS
	perService   = 3    // endpoints of each origin
	quota        = 1200 // calls of a kind per minute that AWS grants an account in a region: 20 a second, sustained
)

// kinds are the calls that AWS counts together.
var kinds = map[string]string{
	"ListTasks": "cluster resource read", "DescribeTasks": "cluster resource read", "DescribeContainerInstances": "cluster resource read",
	"DescribeServices": "service read",
}

// many lets a control plane with its default settings follow many services on both sources while nothing changes.
func (l *lab) many(ctx context.Context) error {
	f, err := l.fleet(ctx, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var all []*crossfadev1.Service
	if err := l.tb.try(func() { all = l.manyServices() }); err != nil {
		return err
	}
	calls, began := l.calls(), time.Now()
	if err := f.apply(ctx, all...); err != nil {
		return err
	}
	if err := f.known(ctx, 2*len(all)); err != nil {
		return err
	}
	fmt.Printf("many: %d services known %.1f s after they were applied, by %v\n", len(all), time.Since(began).Seconds(), since(calls, l.calls()))
	if err := poll.Pause(ctx, min(l.look, 10*time.Second)); err != nil { // what the beginning needs has been done
		return err
	}
	calls, cpu, began := l.calls(), usage.CPU(f.Server.PID), time.Now()
	if err := poll.Pause(ctx, l.look); err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	l.manyLines(since(calls, l.calls()), seconds, (usage.CPU(f.Server.PID)-cpu)/seconds, usage.Memory(f.Server.PID, "VmRSS"), usage.Memory(f.Server.PID, "VmHWM"))
	return nil
}

// manyServices makes what the sources have, without anybody who listens, and the documents.
func (l *lab) manyServices() (out []*crossfadev1.Service) {
	namespace, ecsCluster := "", ""
	for i := range l.services {
		name := fmt.Sprintf("svc-%03d", i)
		if i%perNamespace == 0 {
			namespace = l.kube.Namespace("many")
		}
		if i%perCluster == 0 {
			ecsCluster = fmt.Sprintf("many-%d", i/perCluster)
			l.aws.CreateCluster(ecsCluster)
		}
		l.aws.SetService(ecsCluster, name, perService)
		endpoints := []map[string]any{}
		for n := range perService {
			l.aws.RunTask(awstest.Task{Cluster: ecsCluster, Group: "service:" + name, Address: fmt.Sprintf("10.1.%d.%d", i%250, 10*(i/250)+n+1)})
			endpoints = append(endpoints, map[string]any{
				"addresses": []string{fmt.Sprintf("10.2.%d.%d", i%250, 10*(i/250)+n+1)}, "conditions": map[string]bool{"ready": true, "serving": true},
			})
		}
		l.kube.Create("/apis/discovery.k8s.io/v1/namespaces/"+namespace+"/endpointslices", map[string]any{
			"metadata":    map[string]any{"name": name, "labels": map[string]string{"kubernetes.io/service-name": name}},
			"addressType": "IPv4", "endpoints": endpoints, "ports": []map[string]any{{"name": "http", "port": appPort}},
		})
		out = append(out, &crossfadev1.Service{
			ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs", Listener: &crossfadev1.Listener{Port: port},
			Origins: []*crossfadev1.Origin{ecsOrigin(ecsCluster, name, "http1"), eksOrigin(namespace, name, "http1")},
		})
	}
	return out
}

// calls is how often each action was asked for.
func (l *lab) calls() map[string]float64 {
	out := map[string]float64{}
	for action, n := range l.aws.Calls() {
		out["ecs "+action] = float64(n)
	}
	for _, verb := range []string{"LIST", "WATCH", "GET"} {
		out["kubernetes "+verb] = l.kube.Metric("apiserver_request_total", `resource="endpointslices"`, `verb="`+verb+`"`)
	}
	return out
}

func since(before, after map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for action, n := range after {
		out[action] = n - before[action]
	}
	return out
}

func (l *lab) manyLines(calls map[string]float64, seconds, cpu, rss, peak float64) {
	c := map[string]any{"services": l.services, "sources": "eks and ecs", "endpoints": l.services * perService * 2, "proxies": l.proxies}
	line := func(metric, unit string, v float64) *report.Line {
		fmt.Printf("many: %s %.5g %s\n", metric, v, unit)
		return report.NewLine(system, metric, unit, c, report.Series{{v}})
	}
	add := func(metric, unit string, v float64) { l.r.Add(line(metric, unit, v)) }
	byKind := map[string]float64{}
	for _, action := range slices.Sorted(maps.Keys(calls)) {
		perMinute := calls[action] * 60 / seconds
		add("calls: "+action, "per minute", perMinute)
		byKind[kinds[strings.TrimPrefix(action, "ecs ")]] += perMinute
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		if kind == "" {
			continue // of Kubernetes
		}
		all := line("calls: all of "+kind, "per minute", byKind[kind])
		all.Note = fmt.Sprintf("AWS grants an account %d per minute of this kind in a region, sustained", quota)
		l.r.Add(all.AimP99(quota))
	}
	add("watches open", "watches", l.kube.Metric("apiserver_longrunning_requests", `resource="endpointslices"`, `verb="WATCH"`, `scope="namespace"`))
	add("cpu of the control plane", "cores", cpu)
	add("memory of the control plane", "bytes", rss)
	add("memory of the control plane, peak", "bytes", peak)
}
