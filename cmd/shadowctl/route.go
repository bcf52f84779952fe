package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func newRoute(a *app) *cobra.Command {
	return group("route", "Say where a request would go, and why", newRouteExplain(a))
}

// routeFlags describe a request.
type routeFlags struct {
	files
	fleet, host, client string
	port                int32
	headers             []string
}

func newRouteExplain(a *app) *cobra.Command {
	var f routeFlags
	cmd := &cobra.Command{
		Use: "explain --host HOST [--header NAME=VALUE]… PATH", Short: "Say which service and origin a request would reach, and why",
		Long: `Say which service and origin a request would reach, step by step. It sends no request.
With -f it answers from files, without a server.`,
		Example: "  shadowctl route explain --host orders.test --header x-beta=1 /v1/orders\n  shadowctl route explain -f orders.yaml --host orders.test /",
		Args:    exactly("PATH"), ValidArgsFunction: a.completeArgs(completeNothing),
	}
	cmd.RunE = a.do(func(ctx context.Context, args []string) error {
		if f.host == "" {
			return usageOf(cmd, "--host is missing")
		}
		req, err := f.request(args[0])
		if err != nil {
			return err
		}
		out, err := a.explain(ctx, req, f.names)
		if err != nil {
			return err
		}
		return a.show(manifest.Answer(out), func() { a.sayRoute(out) })
	})
	f.flag(cmd, "answer from the documents of")
	a.fleetFlag(cmd, &f.fleet, "the `FLEET` whose proxies get it (default: that of the documents, else default)")
	cmd.Flags().StringVar(&f.host, "host", "", "`HOST` of the request")
	cmd.Flags().StringArrayVar(&f.headers, "header", nil, "a header, `NAME=VALUE`; may be repeated")
	cmd.Flags().Int32Var(&f.port, "port", 0, "`PORT` of the listener (default 10000)")
	cmd.Flags().StringVar(&f.client, "client-address", "", "`IP` address of the client, where stickiness looks at it")
	return cmd
}

func (f *routeFlags) request(path string) (*crossfadev1.ExplainRouteRequest, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, badValue("path_invalid", "PATH", path, `must begin with "/"`)
	}
	if f.port < 0 || f.port > 65535 {
		return nil, badFlag("port", fmt.Sprint(f.port), "must be 1 to 65535")
	}
	req := &crossfadev1.ExplainRouteRequest{Fleet: f.fleet, Port: f.port, Host: f.host, Path: path, ClientAddress: f.client}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return nil, badFlag("header", h, "must be NAME=VALUE, for example x-beta=1")
		}
		req.Headers = append(req.Headers, &crossfadev1.Header{Name: name, Value: value})
	}
	return req, nil
}

// explain asks the server, or the documents where there are any.
func (a *app) explain(ctx context.Context, req *crossfadev1.ExplainRouteRequest, names []string) (*crossfadev1.ExplainRouteResponse, error) {
	if len(names) == 0 {
		return read(ctx, a, crossfadev1.CrossfadeServiceClient.ExplainRoute, req)
	}
	docs, err := a.readDocuments(names)
	if err != nil {
		return nil, err
	}
	services, err := compile(docs)
	if err != nil {
		return nil, err
	}
	q := policy.Request{Port: int(req.GetPort()), Host: req.GetHost(), Path: req.GetPath(), ClientAddress: req.GetClientAddress()}
	for _, h := range req.GetHeaders() {
		q.Headers = append(q.Headers, policy.Header{Name: h.GetName(), Value: h.GetValue()})
	}
	fleet := req.GetFleet()
	if fleet == "" {
		fleet = fleetOf(services)
	}
	return routeAnswer(policy.NewRouter(fleetSettings(docs, fleet), services).Route(q)), nil
}

// fleetOf is a fleet that serves all services, the default one if there is none.
func fleetOf(services []*policy.Service) string {
	var common []string
	for i, s := range slices.DeleteFunc(slices.Clone(services), func(s *policy.Service) bool { return s == nil }) {
		if i == 0 {
			common = slices.Clone(s.Fleets)
			continue
		}
		common = slices.DeleteFunc(common, func(fleet string) bool { return !slices.Contains(s.Fleets, fleet) })
	}
	if len(common) == 0 || slices.Contains(common, policy.DefaultFleet) {
		return policy.DefaultFleet
	}
	return common[0]
}

// dashDefault is the name of a fleet, the default one where none is named.
func dashDefault(fleet string) string { return dashOr(fleet, policy.DefaultFleet) }

// fleetSettings finds the settings of a fleet among documents that compile.
func fleetSettings(docs []*crossfadev1.Document, name string) *policy.Fleet {
	for _, d := range docs {
		if f := d.GetFleet(); f != nil && f.GetName() == name {
			if compiled, errs := policy.CompileFleet(f); errs == nil {
				return compiled
			}
		}
	}
	return policy.DefaultFleetSettings(name)
}

func routeAnswer(d policy.Decision) *crossfadev1.ExplainRouteResponse {
	out := &crossfadev1.ExplainRouteResponse{Service: d.Service, Origin: d.Origin, Pin: d.Pin, Steps: d.Steps, Chances: map[string]int32{}}
	for o, share := range d.Chances {
		out.Chances[o] = int32(share)
	}
	return out
}

func (a *app) sayRoute(r *crossfadev1.ExplainRouteResponse) {
	switch {
	case r.GetService() == "":
		a.say("%s", a.paint("No service takes it.", yellow))
	case r.GetOrigin() != "":
		a.say("%s, origin %s", r.GetService(), r.GetOrigin())
	default:
		a.say("%s, origin drawn: %s", r.GetService(), splitWords(r.GetChances()))
	}
	for i, step := range r.GetSteps() {
		a.say("  %d. %s", i+1, oneLine(step))
	}
}
