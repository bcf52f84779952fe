package telemetry

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// loadNode is who sends load reports.
type loadNode struct {
	id, fleet string
	version   version
}

// readLoadNode reads the node of a stream's first LoadStatsRequest. It is not decoded: an extension travels in two bytes, and would take a hundred.
func readLoadNode(raw []byte) (loadNode, error) {
	var n loadNode
	r := reader{rest: raw}
	for r.next() {
		if r.is(1, protowire.BytesType) && r.err == nil {
			r.err = n.read(r.bytes)
		}
	}
	if r.err != nil {
		return loadNode{}, r.err
	}
	for _, name := range []string{n.id, n.fleet} {
		if name == "" || len(name) > maxNameLength || !utf8.ValidString(name) {
			return loadNode{}, fmt.Errorf("the first message must say node.id and node.cluster, 1 to %d characters each", maxNameLength)
		}
	}
	return n, nil
}

// read reads a Node on top of what an earlier piece of it said.
func (n *loadNode) read(b []byte) error {
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(1, protowire.BytesType):
			n.id = string(r.bytes[:min(len(r.bytes), maxNameLength+1)])
		case r.is(2, protowire.BytesType):
			n.fleet = string(r.bytes[:min(len(r.bytes), maxNameLength+1)])
		case r.is(7, protowire.BytesType): // user_agent_version, in place of the next one
			n.version = version{}
		case r.is(8, protowire.BytesType) && r.err == nil: // user_agent_build_version
			r.err = n.build(r.bytes)
		}
	}
	return r.err
}

// build reads a BuildVersion.
func (n *loadNode) build(b []byte) error {
	r := reader{rest: b}
	for r.next() {
		if r.is(1, protowire.BytesType) && r.err == nil {
			v := &typev3.SemanticVersion{MajorNumber: n.version.major, MinorNumber: n.version.minor, Patch: n.version.patch}
			r.err = proto.UnmarshalOptions{Merge: true}.Unmarshal(r.bytes, v)
			n.version = version{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}
		}
	}
	return r.err
}

// loadReport is what a LoadStatsRequest says of one cluster.
type loadReport struct {
	load
	tries     []tries // by endpoint
	room      *int    // for those of the message
	length    time.Duration
	notBefore time.Time // when it began, at the earliest; set by [loadStream.place]
}

// maxTries bounds the endpoints of a message that are told apart; those beyond it are not used.
const maxTries = 100_000

// readLoadReports reads a LoadStatsRequest without its node, as far as it is about clusters that were asked for.
func readLoadReports(raw []byte, asked func(cluster []byte) bool) (map[string]loadReport, error) {
	out, room := map[string]loadReport{}, maxTries
	r := reader{rest: raw}
	for r.next() {
		if !r.is(2, protowire.BytesType) {
			continue
		}
		name, err := readClusterName(r.bytes)
		if err != nil {
			return nil, err
		}
		if !asked(name) {
			continue
		}
		report := loadReport{room: &room}
		if err := report.cluster(r.bytes); err != nil {
			return nil, err
		}
		out[string(name)] = report
	}
	return out, r.err
}

// readClusterName reads which cluster a ClusterStats is of.
func readClusterName(b []byte) (name []byte, err error) {
	r := reader{rest: b}
	for r.next() {
		if r.is(1, protowire.BytesType) {
			name = r.bytes
		}
	}
	if r.err == nil && (len(name) > maxNameLength || !utf8.Valid(name)) {
		return nil, fmt.Errorf("cluster %.40q: at most %d bytes of UTF-8 are allowed", name, maxNameLength)
	}
	return name, r.err
}

// cluster reads a ClusterStats, summed over its localities.
func (l *loadReport) cluster(b []byte) (err error) {
	r := reader{rest: b}
	for r.next() && err == nil {
		switch {
		case r.is(2, protowire.BytesType):
			err = l.locality(r.bytes)
		case r.is(4, protowire.BytesType):
			l.length, err = readDuration(r.bytes, l.length)
		}
	}
	return err
}

// locality adds an UpstreamLocalityStats.
func (l *loadReport) locality(b []byte) error {
	var succeeded, failed, open, issued uint64
	before := len(l.tries)
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(2, protowire.VarintType):
			succeeded = r.value
		case r.is(3, protowire.VarintType):
			open = r.value
		case r.is(7, protowire.BytesType):
			if err := l.endpoint(r.bytes); err != nil {
				return err
			}
		case r.is(4, protowire.VarintType):
			failed = r.value
		case r.is(8, protowire.VarintType):
			issued = r.value
		}
	}
	l.failed, l.open, l.issued = l.failed+failed, l.open+open, l.issued+issued
	if len(l.tries) == before {
		l.add(tries{issued: issued, succeeded: succeeded, failed: failed, open: open})
	}
	return r.err
}

// endpoint adds an UpstreamEndpointStats.
func (l *loadReport) endpoint(b []byte) error {
	var t tries
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(1, protowire.BytesType):
			t.endpoint = string(r.bytes)
		case r.is(2, protowire.VarintType):
			t.succeeded = r.value
		case r.is(3, protowire.VarintType):
			t.open = r.value
		case r.is(4, protowire.VarintType):
			t.failed = r.value
		case r.is(7, protowire.VarintType):
			t.issued = r.value
		}
	}
	l.add(t)
	return r.err
}

// add adds tries, if there is room in the message.
func (l *loadReport) add(t tries) {
	if *l.room > 0 {
		*l.room--
		l.tries = append(l.tries, t)
	}
}

// maxReport bounds the length that a report may say it has.
const maxReport = 24 * time.Hour

// readDuration reads a Duration on top of what an earlier piece of it held.
func readDuration(b []byte, d time.Duration) (time.Duration, error) {
	seconds, nanos := int64(d/time.Second), int32(d%time.Second)
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(1, protowire.VarintType):
			seconds = int64(r.value)
		case r.is(2, protowire.VarintType):
			nanos = int32(r.value)
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	if seconds < 0 || seconds > int64(maxReport/time.Second) || nanos < 0 || nanos >= int32(time.Second) {
		return 0, errors.New("a report has an impossible length")
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos), nil
}
