package manifest

import (
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// duration reads a duration such as 500ms, 1.5s, 24h or 1h30m.
func (d *decoder) duration(path string, n *yaml.Node, into *durationpb.Duration) {
	const what = "a duration such as 500ms, 1.5s or 24h"
	if !d.isKind(path, n, yaml.ScalarNode, what) {
		return
	}
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		next := ""
		if _, numErr := strconv.ParseFloat(n.Value, 64); numErr == nil {
			next = "add the unit: " + n.Value + "s is " + n.Value + " seconds"
		}
		d.add(n, "bad_duration", path, n.Value, "must be "+what, next)
		return
	}
	into.Seconds, into.Nanos = int64(v/time.Second), int32(v%time.Second)
}

// time reads a time of RFC 3339. To write one is for servers; people meet it where they apply again what they got.
func (d *decoder) time(path string, n *yaml.Node, into *timestamppb.Timestamp) {
	const what = "a time such as 2026-01-31T12:00:00Z"
	if !d.isKind(path, n, yaml.ScalarNode, what) {
		return
	}
	v, err := time.Parse(time.RFC3339Nano, n.Value)
	at := timestamppb.New(v)
	if err != nil || at.CheckValid() != nil {
		d.add(n, "bad_time", path, n.Value, "must be "+what, "")
		return
	}
	into.Seconds, into.Nanos = at.GetSeconds(), at.GetNanos()
}

// FormatDuration writes a duration the short way, as people do: "24h", "1.5s", "1h30m".
func FormatDuration(d *durationpb.Duration) string {
	if d.CheckValid() != nil || d.GetSeconds() > math.MaxInt64/int64(time.Second) || d.GetSeconds() < math.MinInt64/int64(time.Second) {
		return FormatSeconds(d)
	}
	s := d.AsDuration().String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// FormatSeconds writes a duration in seconds, as machines like it: "1.5s", "86400s".
func FormatSeconds(d *durationpb.Duration) string {
	sign, seconds, nanos := "", d.GetSeconds(), d.GetNanos()
	if seconds < 0 || nanos < 0 {
		sign, seconds, nanos = "-", -seconds, -nanos
	}
	s := sign + strconv.FormatInt(seconds, 10)
	if nanos != 0 {
		fraction := strconv.FormatInt(int64(nanos)+1_000_000_000, 10)[1:]
		s += "." + strings.TrimRight(fraction, "0")
	}
	return s + "s"
}
