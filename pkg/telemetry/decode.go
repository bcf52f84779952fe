package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Bounds of one message.
const (
	maxClusters   = 20_000 // per proxy
	maxNameLength = 256    // of proxies, fleets and clusters, in bytes
)

// flush is one OTLP message of one proxy: what its counters grew by from start to end. It is filled straight from the bytes, for the
// generated types allocate an object per number, and holds on to them.
type flush struct {
	start, end uint64 // by the proxy's clock, in Unix nanoseconds; 0 where nothing says: gauges have no start
	overrides  uint64 // runtime.admin_overrides_active
	expiry     int64  // of the first certificate that ends, in Unix seconds; 0: none is said
	deltas     []delta
	histograms []histogram
	placeless  int // histograms that were left out: there is no room for them

	index  map[string]*series // what the fleet knows; not changed
	byID   []int32            // position in deltas + 1, by id of the series
	byName map[string]int32   // position in deltas, of clusters that the fleet does not know yet
}

// delta is what one cluster's counters grew by.
type delta struct {
	series *series // nil: not known yet
	name   string  // set where series is nil
	counts Counts
}

// histogram is the latencies of one cluster; counts and bounds are the packed fields as they came.
type histogram struct {
	delta          int32
	bounds, counts []byte
	layout         *layout // of bounds; set by [Telemetry.resolve]; nil: there is no room for it
}

// reset makes the flush empty, for the next message.
func (f *flush) reset(index map[string]*series) {
	for i := range f.deltas {
		if s := f.deltas[i].series; s != nil {
			f.byID[s.id] = 0
		}
	}
	clear(f.deltas)
	clear(f.histograms)
	clear(f.byName)
	if f.byName == nil {
		f.byID, f.byName = make([]int32, maxSeries), map[string]int32{}
	}
	*f = flush{index: index, deltas: f.deltas[:0], histograms: f.histograms[:0], byID: f.byID, byName: f.byName}
}

// decode reads an ExportMetricsServiceRequest.
func (f *flush) decode(raw []byte) error {
	for r := (reader{rest: raw}); ; {
		if !r.next() {
			return r.err
		}
		if r.is(1, protowire.BytesType) {
			if err := f.list(r.bytes, 2, f.scope); err != nil {
				return err
			}
		}
	}
}

func (f *flush) scope(b []byte) error { return f.list(b, 2, f.metric) }

// list gives each element of a repeated message to each.
func (f *flush) list(b []byte, num protowire.Number, each func([]byte) error) error {
	for r := (reader{rest: b}); ; {
		if !r.next() {
			return r.err
		}
		if r.is(num, protowire.BytesType) {
			if err := each(r.bytes); err != nil {
				return err
			}
		}
	}
}

// Fields of a Metric that hold its points, and of their points.
const (
	gaugeField, sumField, histogramField, exponentialField, summaryField = 5, 7, 9, 10, 11

	numberAttributes, histogramAttributes = 7, 9
)

// metric reads a Metric, if it is one that counts here.
func (f *flush) metric(b []byte) error {
	var name []byte
	var points [4][]byte // of the last kind; the field may come in pieces
	pieces, kind := 0, protowire.Number(0)
	r := reader{rest: b}
	for r.next() {
		if r.typ != protowire.BytesType {
			continue
		}
		switch r.num {
		case 1:
			name = r.bytes
		case gaugeField, sumField, histogramField, exponentialField, summaryField:
			if r.num != kind {
				kind, pieces = r.num, 0
			}
			if pieces == len(points) {
				return errors.New("a metric is in too many pieces")
			}
			points[pieces] = r.bytes
			pieces++
		}
	}
	if r.err != nil {
		return r.err
	}
	m := metricNamed(string(name))
	if m == notOurs {
		return nil
	}
	delta := false
	for _, piece := range points[:pieces] {
		for r := (reader{rest: piece}); r.next(); {
			if r.is(2, protowire.VarintType) {
				delta = int32(r.value) == 1 // AGGREGATION_TEMPORALITY_DELTA
			}
		}
	}
	for _, piece := range points[:pieces] {
		if err := f.list(piece, 1, func(b []byte) error { return f.point(m, kind, delta, b) }); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// point reads one data point.
func (f *flush) point(m metric, kind protowire.Number, delta bool, b []byte) error {
	switch {
	case m == latency && kind == histogramField:
		if !delta {
			return errors.New("histograms are cumulative: set report_histograms_as_deltas in the sink; `shadowctl bootstrap` does")
		}
		return f.histogram(b)
	case m.isGauge() && kind == gaugeField, !m.isGauge() && m != latency && kind == sumField:
		p, err := readNumber(b)
		if err != nil {
			return err
		}
		if err := f.seen(p.start, p.end); err != nil {
			return err
		}
		switch m {
		case uptime:
			return nil
		case overrides:
			f.overrides = uint64(p.value)
			return nil
		case expiry:
			f.expires(p.value)
			return nil
		}
		if !delta {
			return errors.New("counters are cumulative: set report_counters_as_deltas in the sink; `shadowctl bootstrap` does")
		}
		return f.counter(m, p)
	}
	return fmt.Errorf("is a metric of another kind (field %d)", kind)
}

// seen takes a point's times for the flush: the latest, for a point that covers more than the flush covers it as well.
func (f *flush) seen(start, end uint64) error {
	if end == 0 || end > math.MaxInt64 || start > end {
		return errors.New("a point has no time, an impossible one, or ends before it starts")
	}
	f.start, f.end = max(f.start, start), max(f.end, end)
	return nil
}

// eitherSuffix marks what was counted of requests that may be tried at the other origin: it belongs to the origin that was picked.
var eitherSuffix = []byte(policy.EitherSuffix)

// counter adds a point of a counter to its cluster.
func (f *flush) counter(m metric, p number) error {
	origin, either := bytes.CutSuffix(p.cluster, eitherSuffix)
	if m == hidden && !either {
		return nil // it was the same origin that answered
	}
	i, err := f.cluster(origin)
	if err != nil || i < 0 {
		return err
	}
	n := uint64(p.value)
	c := &f.deltas[i].counts
	switch m {
	case started:
		c.Started += n
	case queued:
		c.Queued += n
	case overflow:
		c.Overflow += n
	case noneHealthy:
		c.NoneHealthy += n
	case connectFail:
		c.ConnectFail += n
	case reset:
		c.Reset += n
	case timeout:
		c.Timeout += n
	case hidden:
		c.Hidden += n
	case class:
		if len(p.class) == 1 && p.class[0] >= '1' && p.class[0] <= '5' {
			c.Class[p.class[0]-'0'] += n
		}
	}
	return nil
}

// cluster finds or makes the delta of a cluster; -1 for one that is no origin of a service.
func (f *flush) cluster(name []byte) (int32, error) {
	if s := f.index[string(name)]; s != nil {
		if i := f.byID[s.id]; i > 0 {
			return i - 1, nil
		}
		i, err := f.more(delta{series: s})
		if err == nil { // what reset does not find in deltas would be there for the next message
			f.byID[s.id] = i + 1
		}
		return i, err
	}
	if i, ok := f.byName[string(name)]; ok {
		return i, nil
	}
	switch {
	case len(name) == 0:
		return 0, errors.New("a point has no attribute envoy.cluster_name: set emit_tags_as_attributes in the sink; `shadowctl bootstrap` does")
	case bytes.IndexByte(name, '/') < 0:
		return -1, nil
	case len(name) > maxNameLength || !utf8.Valid(name):
		return 0, fmt.Errorf("cluster %.40q: at most %d bytes of UTF-8 are allowed", name, maxNameLength)
	}
	i, err := f.more(delta{name: string(name)})
	if err == nil {
		f.byName[string(name)] = i
	}
	return i, err
}

func (f *flush) more(d delta) (int32, error) {
	if len(f.deltas) == maxClusters {
		return 0, fmt.Errorf("more than %d clusters", maxClusters)
	}
	f.deltas = append(f.deltas, d)
	return int32(len(f.deltas) - 1), nil
}
