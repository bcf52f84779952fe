package main

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/crossfade-proxy/crossfade/internal/version"
)

// Variables of OpenTelemetry that say where traces go; its library reads these and others, such as headers, certificates and the sampler
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
const (
	tracesVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	otlpVariable   = "OTEL_EXPORTER_OTLP_ENDPOINT"

	// What makes the library leave out TLS, whatever the URL says; the first that is set counts.
	tracesInsecure = "OTEL_EXPORTER_OTLP_TRACES_INSECURE"
	otlpInsecure   = "OTEL_EXPORTER_OTLP_INSECURE"
)

// tracesTimeout is how long the end of the server waits for what was not sent yet.
const tracesTimeout = 2 * time.Second

// tracing is where spans go, and how that ends.
type tracing struct {
	trace.TracerProvider

	stop func(context.Context) error
}

// openTracing sends spans by OTLP over gRPC to where the environment says; nowhere, if it says nothing. A collector that does not answer costs spans,
// and nothing else.
func openTracing(ctx context.Context, env func(string) string, log *slog.Logger) (*tracing, error) {
	name, endpoint := tracesVariable, env(tracesVariable)
	if endpoint == "" {
		name, endpoint = otlpVariable, env(otlpVariable)
	}
	if endpoint == "" {
		return &tracing{noop.NewTracerProvider(), func(context.Context) error { return nil }}, nil
	}
	if err := checkCollector(name, endpoint, env); err != nil {
		return nil, err
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, wrap("send traces to "+name, err)
	}
	service := cmp.Or(env("OTEL_SERVICE_NAME"), "xds-server")
	about, err := resource.Merge(resource.Default(), resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", version.String())))
	if err != nil {
		return nil, wrap("describe this server in traces", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces could not be sent", "error", err) }))
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &tracing{p, p.Shutdown}, nil
}

// checkCollector refuses to send traces in the clear to another machine: they name services, people and proxies.
func checkCollector(name, endpoint string, env func(string) string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return invalid("bad_setting", name, "", "must be the URL of a collector that takes OTLP over gRPC", "for example https://collector.test:4317, or http://127.0.0.1:4317")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.Unmap().IsLoopback() || u.Hostname() == "localhost" {
		return nil
	}
	host := net.JoinHostPort(u.Hostname(), u.Port())
	if u.Scheme == "http" {
		return invalid("not_loopback", name, host, "is on another machine, and http:// is not encrypted", "write https://, or run a collector on this machine")
	}
	if by := clearText(env); by != "" {
		return invalid("not_loopback", name, host, "is on another machine, and "+by+" is to send in the clear whatever the URL says", "remove "+by+", or run a collector on this machine")
	}
	return nil
}

// clearText is the variable that makes the library leave out TLS; empty: none.
func clearText(env func(string) string) string {
	for _, name := range []string{tracesInsecure, otlpInsecure} {
		if value := strings.TrimSpace(env(name)); strings.EqualFold(value, "true") {
			return name
		} else if value != "" {
			return ""
		}
	}
	return ""
}

// close sends what was not sent yet.
func (t *tracing) close() {
	ctx, cancel := context.WithTimeout(context.Background(), tracesTimeout)
	defer cancel()
	_ = t.stop(ctx) // what it says goes to the log already
}
