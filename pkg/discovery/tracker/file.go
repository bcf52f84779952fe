package tracker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

const (
	// maxSize bounds the file, in bytes: about 800,000 endpoints.
	maxSize = 64 << 20
	// forget is how old what is known of an origin may be that nobody has followed since the start.
	forget = 7 * 24 * time.Hour
	format = 1
)

// content is what the file says.
type content struct {
	Version int      `json:"version"`
	Origins []record `json:"origins"`
}

// record is what the file says of an origin.
type record struct {
	Service   string    `json:"service"`
	Origin    string    `json:"origin"`
	Source    string    `json:"source,omitempty"`
	Looked    time.Time `json:"looked"`
	Endpoints []saved   `json:"endpoints,omitempty"`
}

// saved is what the file says of an endpoint.
type saved struct {
	Address netip.AddrPort      `json:"address"`
	Zone    string              `json:"zone,omitempty"`
	State   discovery.Readiness `json:"state"`
}

func (r record) key() Key { return Key{r.Service, r.Origin} }

// endpoints are those of a record, as a source told them.
func (r record) endpoints() []discovery.Endpoint {
	out := make([]discovery.Endpoint, len(r.Endpoints))
	for i, e := range r.Endpoints {
		out[i] = discovery.Endpoint{Address: e.Address, Zone: e.Zone, State: e.State}
	}
	return out
}

// readFile reads a file, which need not exist.
func readFile(path string) ([]record, error) {
	data, err := notefile.Read(path, maxSize)
	if data == nil || err != nil {
		return nil, err
	}
	return parse(data)
}

// parse reads the content of a file.
func parse(data []byte) ([]record, error) {
	var c content
	if len(data) > maxSize {
		return nil, fmt.Errorf("it has more than %d MiB", maxSize>>20)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if c.Version != format {
		return nil, fmt.Errorf("it has version %d, this program reads %d", c.Version, format)
	}
	for _, r := range c.Origins {
		if _, err := r.Looked.MarshalJSON(); err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
		for _, e := range r.Endpoints {
			if !e.Address.IsValid() || e.State != discovery.Ready && e.State != discovery.Draining {
				return nil, fmt.Errorf("it is damaged: origin %q of service %q has an endpoint %v that is %q", r.Origin, r.Service, e.Address, e.State)
			}
		}
	}
	return c.Origins, nil
}

// state is what is to be written of an origin.
type state struct {
	head      record // without the endpoints
	endpoints []discovery.Tracked
	owner     *origin // with version, names the endpoints; nil if nobody has followed it, which does not change
	version   int
}

// records is what there is to write: what is believed of each origin, and what the note says of those that nobody has followed yet.
func (t *Tracker) records() []state {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []state
	for k, o := range t.origins {
		o.mu.Lock()
		if len(o.set.Endpoints()) > 0 {
			head := record{Service: k.Service, Origin: k.Origin, Source: o.from, Looked: o.set.Looked()}
			out = append(out, state{head, o.set.Endpoints(), o, o.version})
		}
		o.mu.Unlock()
	}
	for _, r := range t.noted {
		if t.now().Sub(r.Looked) < forget {
			s := state{head: r, endpoints: discovery.Seed(r.endpoints(), r.Looked).Endpoints()}
			s.head.Endpoints = nil
			out = append(out, s)
		}
	}
	return out
}

// encoder makes files, and keeps of each origin what it made, for most do not change from one file to the next.
type encoder struct {
	room int // for all of a file, in bytes
	made map[Key]made
}

type made struct {
	owner   *origin
	version int
	text    []byte // of the endpoints
}

// encode makes a file of what is known, and says how many origins are left out because it would be too large.
func (e *encoder) encode(states []state) (data []byte, left int) {
	next, size := make(map[Key]made, len(states)), 0
	for _, s := range states {
		k := s.head.key()
		m, ok := e.made[k]
		if !ok || m.owner != s.owner || m.version != s.version {
			m = made{s.owner, s.version, endpointsText(s.endpoints)}
		}
		next[k] = m
		size += len(m.text) + 256
	}
	e.made = next
	// The smallest first, so that one giant does not push out all others.
	slices.SortFunc(states, func(a, b state) int {
		return cmp.Or(cmp.Compare(len(a.endpoints), len(b.endpoints)), compareKeys(a.head.key(), b.head.key()))
	})
	data = fmt.Appendf(make([]byte, 0, min(size, e.room)+64), "{\"version\":%d,\"origins\":[", format)
	separator := "\n"
	for i, s := range states {
		head, endpoints := headText(s.head), next[s.head.key()].text
		if len(data)+len(head)+len(endpoints)+64 > e.room {
			left = len(states) - i
			break
		}
		data = append(append(append(append(data, separator...), head...), endpoints...), '}')
		separator = ",\n"
	}
	return append(data, "\n]}\n"...), left
}

// headText is the text of a record up to its endpoints.
func headText(head record) []byte {
	text, err := json.Marshal(head)
	if err != nil {
		panic(err) // strings and a time, which is one of ours or was read as it is written
	}
	return append(text[:len(text)-1], `,"endpoints":`...)
}

func endpointsText(all []discovery.Tracked) []byte {
	out := make([]saved, 0, len(all))
	for _, e := range all {
		s := saved{e.Address, e.Zone, discovery.Ready}
		if e.State == discovery.StateDraining {
			s.State = discovery.Draining
		}
		if e.Address.IsValid() {
			out = append(out, s)
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err) // addresses and strings
	}
	return text
}
