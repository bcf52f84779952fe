package envoy

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

var update = flag.Bool("update", false, "write the golden file")

// TestGolden keeps the bootstrap as it is: a change restarts every proxy. Whoever means one raises Version and runs with -update.
func TestGolden(t *testing.T) {
	var b bytes.Buffer
	if err := Render(&b, Bootstrap{NodeID: "proxy-1", XDSAddress: "control.test:18000,[::1]:18000", MaxHeapBytes: 1 << 30, ExperimentAddress: "127.0.0.1:10090"}); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/bootstrap.yaml"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the bootstrap is not that of %s (%v); if that is meant, raise Version and run: go test ./deploy/envoy -update", file, err)
	}
}

// TestZoneAddsLines: a proxy that knows its zone has a few lines more, and one that does not has none of them.
func TestZoneAddsLines(t *testing.T) {
	b := Bootstrap{NodeID: "proxy-1", XDSAddress: "control.test:18000"}
	var without, with bytes.Buffer
	zoned := b
	zoned.Zone = "eu-central-1a"
	if err := errors.Join(Render(&without, b), Render(&with, zoned)); err != nil {
		t.Fatal(err)
	}
	rest := strings.Split(without.String(), "\n")
	var added []string
	for line := range strings.SplitSeq(with.String(), "\n") {
		if len(rest) > 0 && line == rest[0] {
			rest = rest[1:]
			continue
		}
		added = append(added, line)
	}
	want := strings.Split(`  locality: {zone: "eu-central-1a"}
  local_cluster_name: zone
  - name: zone
    type: STATIC
    load_assignment:
      cluster_name: zone
      endpoints:
      - locality: {zone: "eu-central-1a"}
        lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9}}}`, "\n")
	if len(rest) > 0 || !slices.Equal(added, want) {
		t.Errorf("a zone takes away %q and adds:\n%s", rest, strings.Join(added, "\n"))
	}
}

// TestNamesOfLayers holds what stands here again against where it comes from.
func TestNamesOfLayers(t *testing.T) {
	if !slices.Equal(layers(), translate.LayerNames()) {
		t.Errorf("layers %q, the control plane fills %q", layers(), translate.LayerNames())
	}
	if readyKey != translate.ReadyKey {
		t.Errorf("ready key %q, the control plane sets %q", readyKey, translate.ReadyKey)
	}
	if DefaultListenAddress != translate.DefaultListenAddress {
		t.Error("the default listen addresses differ")
	}
	if !strings.Contains(strings.Join(stats(), " "), `http\.`+translate.StatPrefix+`\.`) {
		t.Errorf("no statistics of listeners (%s) in %q", translate.StatPrefix, stats())
	}
}

// TestBuckets: whatever a latency from 1 ms to a minute is, the middle of its bucket is within 5 % of it, or half a millisecond.
func TestBuckets(t *testing.T) {
	var bounds []float64
	for s := range strings.SplitSeq(buckets(), ", ") {
		b, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		bounds = append(bounds, b)
	}
	if !slices.IsSorted(bounds) || len(slices.Compact(slices.Clone(bounds))) != len(bounds) {
		t.Fatalf("not rising: %v", bounds)
	}
	for ms := 1.0; ms < longestBucket; ms++ {
		i, _ := slices.BinarySearch(bounds, ms)
		middle := (bounds[i-1] + bounds[i]) / 2
		if off := math.Abs(middle - ms); off > 0.5 && off/ms > 0.05 {
			t.Errorf("%v ms reads as %v", ms, middle)
		}
	}
}

func TestBadInput(t *testing.T) {
	good := Bootstrap{NodeID: "p1", XDSAddress: "127.0.0.1:18000"}
	for name, c := range map[string]struct {
		change      func(*Bootstrap)
		field, code string
	}{
		"no node":             {func(b *Bootstrap) { b.NodeID = "" }, "nodeID", "name_missing"},
		"node with a space":   {func(b *Bootstrap) { b.NodeID = "a b" }, "nodeID", "name_invalid"},
		"node with a newline": {func(b *Bootstrap) { b.NodeID = "a\nadmin: {}" }, "nodeID", "name_invalid"},
		"fleet":               {func(b *Bootstrap) { b.Fleet = "My Fleet" }, "fleet", "name_invalid"},
		"no control plane":    {func(b *Bootstrap) { b.XDSAddress = "" }, "xdsAddress", "address_missing"},
		"no port":             {func(b *Bootstrap) { b.XDSAddress = "control.test" }, "xdsAddress", "address_invalid"},
		"port 0":              {func(b *Bootstrap) { b.XDSAddress = "control.test:0" }, "xdsAddress", "address_invalid"},
		"a URL":               {func(b *Bootstrap) { b.XDSAddress = "http://control.test:18000" }, "xdsAddress", "address_invalid"},
		"listen with port":    {func(b *Bootstrap) { b.ListenAddress = "0.0.0.0:80" }, "listenAddress", "address_invalid"},
		"listen on a name":    {func(b *Bootstrap) { b.ListenAddress = "localhost" }, "listenAddress", "address_invalid"},
		"ready":               {func(b *Bootstrap) { b.ReadyAddress = ":80" }, "readyAddress", "address_invalid"},
		"admin for all":       {func(b *Bootstrap) { b.AdminAddress = "0.0.0.0:9901" }, "adminAddress", "admin_not_loopback"},
		"zone with a space":   {func(b *Bootstrap) { b.Zone = "eu central" }, "zone", "name_invalid"},
		"zone too long":       {func(b *Bootstrap) { b.Zone = strings.Repeat("z", 64) }, "zone", "name_invalid"},
		"experiment":          {func(b *Bootstrap) { b.ExperimentAddress = "x" }, "experimentAddress", "address_invalid"},
		"experiment anywhere": {func(b *Bootstrap) { b.ExperimentAddress = "10.0.0.1:10090" }, "experimentAddress", "experiment_not_loopback"},
		"experiment, port 0":  {func(b *Bootstrap) { b.ExperimentAddress = "127.0.0.1:0" }, "experimentAddress", "address_invalid"},
		"flush":               {func(b *Bootstrap) { b.FlushInterval = time.Millisecond }, "flushInterval", "duration_range"},
		"flush too rare":      {func(b *Bootstrap) { b.FlushInterval = 5 * time.Minute }, "flushInterval", "duration_range"},
		"connections":         {func(b *Bootstrap) { b.MaxConnections = -1 }, "maxConnections", "number_range"},
		"heap":                {func(b *Bootstrap) { b.MaxHeapBytes = 1024 }, "maxHeapBytes", "number_range"},
	} {
		b := good
		c.change(&b)
		var out bytes.Buffer
		var errs policy.Errors
		if err := Render(&out, b); !errors.As(err, &errs) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(errs) != 1 || errs[0].Field != c.field || errs[0].Code != c.code || errs[0].Message == "" || out.Len() > 0 {
			t.Errorf("%s: %v with code %q, wrote %d bytes; want %s of %s", name, errs, errs[0].Code, out.Len(), c.code, c.field)
		}
	}
}
