package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestTracesAreNotSentInTheClear to another machine, whichever variable asks for it.
func TestTracesAreNotSentInTheClear(t *testing.T) {
	const there = "https://collector.test:4317"
	for _, c := range []struct {
		name, wants string // wants: the variable that is refused; empty: none
		env         map[string]string
	}{
		{"nowhere", "", nil},
		{"https", "", map[string]string{otlpVariable: there}},
		{"http", otlpVariable, map[string]string{otlpVariable: "http://collector.test:4317"}},
		{"http on loopback", "", map[string]string{otlpVariable: "http://127.0.0.1:4317"}},
		{"https, not encrypted", otlpVariable, map[string]string{otlpVariable: there, otlpInsecure: "true"}},
		{"https, not encrypted, for traces", tracesVariable, map[string]string{tracesVariable: there, tracesInsecure: " TRUE "}},
		{"https, not encrypted, but for traces", "", map[string]string{otlpVariable: there, otlpInsecure: "true", tracesInsecure: "false"}},
		{"https, not encrypted for traces alone", otlpVariable, map[string]string{otlpVariable: there, otlpInsecure: "false", tracesInsecure: "true"}},
		{"https, said to be encrypted", "", map[string]string{otlpVariable: there, otlpInsecure: "1"}}, // to the library, that is not true
		{"https on loopback, not encrypted", "", map[string]string{otlpVariable: "https://[::1]:4317", otlpInsecure: "true"}},
		{"no URL", otlpVariable, map[string]string{otlpVariable: "collector.test:4317"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value) // the library reads them itself
			}
			traces, err := openTracing(t.Context(), in(c.env), slog.New(slog.DiscardHandler))
			if err == nil {
				defer traces.close()
			}
			var e *policy.Error
			if errors.As(err, &e); (err != nil) != (c.wants != "") || err != nil && (e == nil || e.Field != c.wants) {
				t.Errorf("%v, want a refusal of %q", err, c.wants)
			}
		})
	}
}
