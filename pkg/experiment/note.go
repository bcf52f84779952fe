package experiment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

const noteVersion = 1

// note is what is kept of a run. The key of its hashes is kept elsewhere.
type note struct {
	Version int         `json:"version"`
	Mirror  string      `json:"mirror"`
	Run     string      `json:"run"`
	Counted time.Time   `json:"counted,omitzero"`
	Gone    string      `json:"gone,omitempty"`
	Live    shadow.Live `json:"live"`
	Found   []found     `json:"found,omitempty"`
	Parts   []notedPart `json:"parts,omitempty"`
	Past    *notedPast  `json:"past,omitempty"`
}

type notedPart struct {
	Instance  string    `json:"instance"`
	Address   string    `json:"address"`
	Sequence  int64     `json:"sequence"`
	Heard     time.Time `json:"heard"`
	Connected bool      `json:"connected,omitempty"`
	Held      float64   `json:"held,omitempty"`
	Until     time.Time `json:"until,omitzero"`
	Lost      int64     `json:"lost,omitempty"`
	InFlight  int64     `json:"inFlight,omitempty"`
	Received  int64     `json:"received,omitempty"`
	Tallied   int64     `json:"tallied,omitempty"`
	Rate      float64   `json:"rate,omitempty"` // copies per second
	Untaken   bool      `json:"untaken,omitempty"`
	notedSums
}

type notedPast struct {
	Lost      int64         `json:"lost,omitempty"`
	Untaken   bool          `json:"untaken,omitempty"`
	Instances []string      `json:"instances,omitempty"`
	tally     *shadow.Tally // to be encoded
	notedSums
}

// notedSums are counts that only grow.
type notedSums struct {
	Errors         int64           `json:"candidateErrors,omitempty"`
	AskedControl   int64           `json:"askedControl,omitempty"`
	AskedCandidate int64           `json:"askedCandidate,omitempty"`
	Seen           []notedPath     `json:"seen,omitempty"`
	Tally          json.RawMessage `json:"tally,omitempty"`
}

type notedPath struct {
	Method   string `json:"method"`
	Endpoint string `json:"endpoint"`
	Count    int64  `json:"count"`
	Excluded string `json:"excluded,omitempty"`
}

// note is what is to be kept. The lock of the desk is held; what the note points to does not change.
func (r *run) note() *note {
	n := &note{Version: noteVersion, Mirror: r.mirror, Run: r.id, Counted: r.when, Gone: r.gone, Live: r.live, Found: slices.Clone(r.found)}
	for _, p := range r.sorted() {
		n.Parts = append(n.Parts, notedPart{
			Instance: p.instance, Address: p.address, Sequence: p.sequence, Heard: p.heard, Connected: p.connected, Held: p.held, Until: p.until, Lost: p.lost,
			InFlight: p.signals.inFlight, Received: p.arrivals.received, Tallied: p.arrivals.tallied, Rate: p.arrivals.rate, Untaken: p.untaken,
			notedSums: sumsOf(&p.signals, p.seen, p.raw),
		})
	}
	if len(r.past.instances) > 0 {
		n.Past = &notedPast{Lost: r.past.lost, Untaken: r.past.untaken, Instances: slices.Sorted(maps.Keys(r.past.instances)), notedSums: sumsOf(&r.past.signals, r.past.seen, nil)}
		n.Past.tally = r.past.tally
	}
	return n
}

func sumsOf(s *signals, seen []*crossfadev1.MirrorPath, tally []byte) notedSums {
	out := notedSums{Errors: s.errors, AskedControl: s.askedControl, AskedCandidate: s.askedCandidate, Tally: tally}
	for _, p := range seen {
		out.Seen = append(out.Seen, notedPath{p.GetMethod(), p.GetEndpoint(), p.GetCount(), p.GetExcluded()})
	}
	return out
}

// encode makes the content of a file.
func (n *note) encode() ([]byte, error) {
	if n.Past != nil && n.Past.tally != nil {
		state, err := n.Past.tally.Encode()
		if err != nil {
			return nil, err
		}
		n.Past.Tally = state
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // tallies stay as long as they are
	err := e.Encode(n)
	if err == nil && out.Len() > maxNote {
		err = errTooLarge
	}
	return out.Bytes(), err
}

// parse reads the content of a file, but for the tallies.
func parse(data []byte) (*note, error) {
	var n note
	switch err := json.Unmarshal(data, &n); {
	case len(data) > maxNote:
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("it is damaged: %w", err)
	case n.Version != noteVersion:
		return nil, fmt.Errorf("it has version %d, this program reads %d", n.Version, noteVersion)
	case !n.sound():
		return nil, errContent
	}
	return &n, nil
}

// sound says that it can be one of ours.
func (n *note) sound() bool {
	if len(n.Parts) > maxInstances+maxGone || len(n.Found) > maxFound || !soundTime(n.Counted) || n.Gone != "" && n.Gone != goneLost {
		return false
	}
	for _, c := range n.Live {
		if c > maxCount {
			return false
		}
	}
	there := map[string]bool{}
	for _, p := range n.Parts {
		if !instanceName.MatchString(p.Instance) || there[p.Instance] || !p.sound() {
			return false
		}
		there[p.Instance] = true
	}
	p := n.Past
	return p == nil || len(p.Instances) <= maxFolded && soundCount(p.Lost) && p.notedSums.sound()
}

func (p *notedPart) sound() bool {
	return soundRate(p.Held) && soundRate(p.Rate) && soundCount(p.Received) && p.Tallied <= maxCount && p.Tallied >= -maxCount && soundTime(p.Heard) && soundTime(p.Until) && soundCount(p.Sequence) && soundCount(p.Lost) &&
		soundCount(p.InFlight) && p.notedSums.sound()
}

func (s *notedSums) sound() bool {
	if !soundCount(s.Errors) || !soundCount(s.AskedControl) || !soundCount(s.AskedCandidate) || len(s.Seen) > maxSeen {
		return false
	}
	for _, p := range s.Seen {
		if !soundCount(p.Count) || max(len(p.Method), len(p.Endpoint), len(p.Excluded)) > policy.MaxSeenText {
			return false
		}
	}
	return true
}

// soundRate says that a rate can be one: no more than all copies in one interval.
func soundRate(perSecond float64) bool { return perSecond >= 0 && perSecond <= 2*maxCount }

func soundCount(n int64) bool { return n >= 0 && n <= maxCount }

// soundTime says that a time can be written again.
func soundTime(t time.Time) bool {
	_, err := t.MarshalJSON()
	return err == nil
}

// restore fills a run with what was kept of it, or leaves it as it is and says so. Who was connected then may still follow its last order, and
// what it counted since is missing until it comes back.
func (n *note) restore(r *run, lease time.Duration, now time.Time) bool {
	if n.Mirror != r.mirror || n.Run != r.id {
		return false
	}
	parts := map[string]*part{}
	for i := range n.Parts {
		p, err := n.Parts[i].restore(r)
		if err != nil {
			return false
		}
		if n.Parts[i].Connected {
			p.leave(now, lease, false)
			p.lost = p.missing(earlier(now, p.heard.Add(lease)))
		}
		parts[p.instance] = p
	}
	if n.Past != nil {
		t, err := decode(r, n.Past.Tally)
		if err != nil {
			return false
		}
		r.past = past{tally: t, seen: n.Past.paths(), signals: n.Past.signals(), lost: n.Past.Lost, untaken: n.Past.Untaken, instances: map[string]bool{}}
		for _, name := range n.Past.Instances {
			r.past.instances[name] = true
		}
	}
	r.parts, r.live, r.found, r.gone, r.when = parts, n.Live, n.Found, n.Gone, n.Counted
	r.changes++
	return true
}

func (p *notedPart) restore(r *run) (*part, error) {
	t, err := decode(r, p.Tally)
	if err != nil {
		return nil, err
	}
	out := &part{
		instance: p.Instance, address: p.Address, sequence: p.Sequence, heard: p.Heard, tally: t, raw: p.Tally, seen: p.paths(),
		signals: p.signals(), held: p.Held, until: p.Until, lost: p.Lost, untaken: p.Untaken,
		arrivals: arrivals{received: p.Received, tallied: p.Tallied, at: p.Heard, then: p.Received, rate: p.Rate},
	}
	out.signals.inFlight = p.InFlight
	return out, nil
}

func (s *notedSums) signals() signals {
	return signals{errors: s.Errors, askedControl: s.AskedControl, askedCandidate: s.AskedCandidate}
}

func (s *notedSums) paths() []*crossfadev1.MirrorPath {
	var out []*crossfadev1.MirrorPath
	for _, p := range s.Seen {
		out = append(out, &crossfadev1.MirrorPath{Method: p.Method, Endpoint: p.Endpoint, Count: p.Count, Excluded: p.Excluded})
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
