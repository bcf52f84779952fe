package policytest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Mirror makes an experiment that compiles and fits a service that compiles. Every field of the schema differs from its default in a good
// part of them; half of them run.
func Mirror(r *rand.Rand, name string, service *crossfadev1.Service) *crossfadev1.Mirror {
	g := &generator{Rand: r}
	m := &crossfadev1.Mirror{
		ApiVersion: policy.APIVersion, Kind: policy.KindMirror, Name: name, Service: service.GetName(), Share: int32(1 + g.IntN(int(policy.Whole))),
	}
	g.mirrorOrigins(m, service)
	g.mirrorRequests(m)
	g.mirrorAnswers(m)
	if g.one(3) {
		m.Duration, m.Learn = durationpb.New(time.Duration(1+g.IntN(720))*time.Hour), durationpb.New(time.Duration(g.IntN(3))*time.Minute)
	}
	if g.one(3) {
		m.Stop = &crossfadev1.MirrorStop{CandidateErrors: int32(g.IntN(1000)), ControlRefusals: int32(g.IntN(10)), CandidateLatency: durationpb.New(time.Duration(g.IntN(5)) * time.Second)}
	}
	if g.one(2) {
		m.Run = &crossfadev1.MirrorRun{Id: fmt.Sprint("r", g.IntN(1000)), Started: timestamppb.New(time.Unix(int64(g.IntN(1<<30)), 0))}
	}
	return m
}

// mirrorOrigins chooses who is asked: the candidate is never the primary where control is left to it.
func (g *generator) mirrorOrigins(m *crossfadev1.Mirror, service *crossfadev1.Service) {
	var others []string
	for _, o := range service.GetOrigins() {
		if o.GetName() != service.GetPrimary() {
			others = append(others, o.GetName())
		}
	}
	m.Candidate = pick(g.Rand, others)
	switch g.IntN(4) {
	case 0:
		m.Mode = string(policy.Dark)
	case 1:
		m.Mode, m.Control = string(policy.Compare), service.GetPrimary()
	case 2:
		m.Control, m.Candidate = m.GetCandidate(), service.GetPrimary()
	}
}

func (g *generator) mirrorRequests(m *crossfadev1.Mirror) {
	if g.one(3) {
		m.MaxRps = int32(g.IntN(1000))
	}
	if g.one(3) {
		m.Methods = []string{"GET", "HEAD"}
	}
	if g.one(4) {
		m.Methods, m.AllowWrites = []string{"PUT", "GET", "POST"}, true
	}
	if g.one(3) {
		m.GrpcMethods = []string{"shop.v1.Orders/Get", "/shop.v1.Orders/List"}
	}
	if g.one(3) {
		m.PathPrefixes = []string{"/b", "/a/"}
	}
	for range g.IntN(3) {
		m.Headers = append(m.Headers, g.condition(pick(g.Rand, pinHeaders)))
	}
	if g.one(4) {
		m.KeepHeaders = []string{"Authorization"}
	}
	if g.one(4) {
		m.Identity = "tester"
	}
	if g.one(4) {
		m.AllowPaths, m.ExcludePaths = []string{"/logout"}, []string{"/admin", "/a/b"}
	}
}

func (g *generator) mirrorAnswers(m *crossfadev1.Mirror) {
	if g.one(3) {
		m.Noise = &crossfadev1.MirrorNoise{Share: new(int32(g.IntN(int(policy.Whole) + 1)))}
	}
	if g.one(3) {
		m.BodyCap = pick(g.Rand, []string{"64KiB", "500kB", "16MiB", "4096"})
	}
	if g.one(3) {
		m.Rules = []*crossfadev1.MirrorRule{
			{Endpoint: "/orders/{id}", Path: "$.updated", Action: "tolerate", Window: durationpb.New(time.Second)},
			{Path: "$.price", Action: "tolerate", Abs: 0.25, Rel: 1e-7},
			{Path: "$.items", Action: "set", Key: "id"},
			{Path: "header:etag", Action: "ignore"},
			{Path: "body", Action: "tolerate", Pattern: "uuid"},
		}
	}
	if g.one(3) {
		m.Endpoints, m.Values = []string{"/orders/{id}"}, []string{"$.state", "header:cache-control"}
	}
	if g.one(3) {
		m.CompareHeaders = []string{"Content-Type", "x-total"}
	}
	if g.one(3) {
		m.MinPairs, m.OneBody = int32(1+g.IntN(1000)), true
	}
	if g.one(3) {
		m.Grpc = &crossfadev1.MirrorGrpc{Descriptors: []byte{}, Reflection: true}
	}
}

// ExplicitMirror writes a compiled experiment as a document in which every default is written out. It compiles to the same experiment.
func ExplicitMirror(m *policy.Mirror) *crossfadev1.Mirror {
	doc := &crossfadev1.Mirror{
		ApiVersion: policy.APIVersion, Kind: policy.KindMirror, Name: m.Name, Service: m.Service, Mode: string(m.Mode), Control: m.Control, Candidate: m.Candidate,
		Share: int32(m.Share), MaxRps: int32(m.MaxRPS), Methods: m.Methods, GrpcMethods: m.GRPCMethods, AllowWrites: true, PathPrefixes: m.PathPrefixes,
		Noise: &crossfadev1.MirrorNoise{Share: new(int32(m.NoiseShare))}, Duration: written(m.Duration), Learn: written(m.Learn), BodyCap: policy.FormatSize(m.BodyCap),
		Stop: &crossfadev1.MirrorStop{
			CandidateErrors: int32(m.Stop.CandidateErrors), CandidateLatency: written(m.Stop.CandidateLatency), ControlRefusals: int32(m.Stop.ControlRefusals),
		},
		Endpoints: m.Endpoints, CompareHeaders: m.Compare, KeepHeaders: m.Keep, Identity: m.Identity, Values: m.Values, AllowPaths: m.Allow,
		ExcludePaths: m.Exclude, MinPairs: int32(m.MinPairs), OneBody: m.OneBody, Grpc: &crossfadev1.MirrorGrpc{Descriptors: m.Descriptors, Reflection: m.Reflection},
	}
	for _, h := range m.Headers {
		doc.Headers = append(doc.Headers, explicitValue(h))
	}
	for _, r := range m.Rules {
		doc.Rules = append(doc.Rules, &crossfadev1.MirrorRule{
			Endpoint: r.Endpoint, Path: r.Path, Action: r.Action, Abs: r.Abs, Rel: r.Rel, Window: written(r.Window), Pattern: r.Pattern, Key: r.Key,
		})
	}
	if m.Run.ID != "" {
		doc.Run = &crossfadev1.MirrorRun{Id: m.Run.ID, Started: timestamppb.New(m.Run.Started), Why: m.Run.Why, Detail: m.Run.Detail}
		if !m.Run.Ended.IsZero() {
			doc.Run.Ended = timestamppb.New(m.Run.Ended)
		}
	}
	return doc
}
