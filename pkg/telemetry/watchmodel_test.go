package telemetry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// mix is what kinds of requests a modelled proxy has, as weights.
type mix struct {
	good, failed, status, unconnected, saved, cut int
	steady                                        bool // new proxies whose lanes stay
}

// request is one of them. Times are in milliseconds of the model.
type modelRequest struct {
	from, head, to int
	kind           string
}

// modelled is an Envoy in milliseconds: it counts as one does, in metrics and in load reports, and says so late and in an order of chance.
type modelled struct {
	random *rand.Rand
	old    bool // it drops what ended in a round in which nothing began
	skew   time.Duration
	id     string

	events   map[int][]modelRequest // requests of which something happens, by time
	delta    Counts
	flushed  int // when it last made a flush
	report   [2]tries
	reported int // when it last made a report; 0: it is not asked
	began    bool
	mail     []letter
}

// letter is a message on its way.
type letter struct {
	arrives int
	deliver func(now time.Time)
}

// house is a Telemetry with such proxies.
type modelHouse struct {
	t       *testing.T
	tel     *Telemetry
	now     time.Time
	watch   *Watch
	proxies []*modelled
	streams map[*modelled]*loadStream
	read    guard.Window
	truth   credit // what clients have seen by now
	steady  bool
	buffer  flush
}

const modelEnd, modelDrain = 12_000, 17_000

func newModelHouse(t *testing.T, random *rand.Rand, m mix) *modelHouse {
	h := &modelHouse{t: t, steady: m.steady, now: testTime, streams: map[*modelled]*loadStream{}}
	h.tel = New(Options{Now: func() time.Time { return h.now }})
	for i := range 1 + random.IntN(3) {
		p := &modelled{random: random, old: random.IntN(2) == 0 && !m.steady, skew: time.Duration(random.IntN(7_200_000)-3_600_000) * time.Millisecond, id: fmt.Sprint("p", i)}
		p.draw(m)
		h.proxies = append(h.proxies, p)
		h.tel.Connected("default", p.id, true)
	}
	return h
}

// draw makes the requests of a proxy, with pauses.
func (p *modelled) draw(m mix) {
	kinds := slices.Concat(
		slices.Repeat([]string{"good"}, m.good), slices.Repeat([]string{"failed"}, m.failed), slices.Repeat([]string{"status"}, m.status),
		slices.Repeat([]string{"unconnected"}, m.unconnected), slices.Repeat([]string{"saved"}, m.saved), slices.Repeat([]string{"cut"}, m.cut))
	p.events = map[int][]modelRequest{}
	gap := 1 + p.random.IntN(300)
	for ms := 200 + p.random.IntN(1000); ms < modelEnd; ms += 1 + p.random.IntN(gap) {
		r := modelRequest{from: ms, kind: kinds[p.random.IntN(len(kinds))]}
		r.head = ms + p.random.IntN(50)
		if p.random.IntN(10) == 0 {
			r.head += p.random.IntN(1500)
		}
		r.to = r.head
		if r.kind == "cut" || p.random.IntN(10) == 0 && r.kind == "good" {
			r.to += p.random.IntN(1000)
		}
		times := []int{r.from, r.head, r.to}
		for _, ms := range slices.Compact(times) {
			p.events[ms] = append(p.events[ms], r)
		}
	}
}

// tick does what the proxy does in a millisecond, and returns what clients saw.
func (p *modelled) tick(ms int) credit {
	var seen credit
	good, bad := &p.report[0], &p.report[1]
	for _, r := range p.events[ms] {
		connected := r.kind != "unconnected"
		if r.from == ms && connected {
			p.delta.Started++
			good.issued++
			good.open++
		}
		if r.from == ms && r.kind == "saved" {
			bad.failed++
		}
		if r.head == ms {
			seen.requests++
			switch r.kind {
			case "failed":
				p.delta.Class[5]++
				good.failed++
				seen.failures++
			case "status":
				p.delta.Class[2]++
				good.failed++
				seen.failures++
			case "unconnected":
				p.delta.Class[5]++
				bad.failed += 4
				seen.failures++
			default:
				p.delta.Class[2]++
				good.succeeded++
			}
		}
		if r.to == ms && connected {
			good.open--
			if r.kind == "cut" {
				p.delta.Reset++
				seen.failures++
			}
		}
	}
	return seen
}

// flush sends metrics.
func (h *modelHouse) flush(p *modelled, ms int) {
	delta, from := p.delta, p.flushed
	p.delta, p.flushed = Counts{}, ms
	p.mail = append(p.mail, letter{ms + p.random.IntN(40), func(now time.Time) {
		f := &h.buffer
		f.reset(nil)
		f.start, f.end = uint64(at(from).Add(p.skew).UnixNano()), uint64(at(ms).Add(p.skew).UnixNano())
		if delta != (Counts{}) {
			f.byName["orders/eks"], f.deltas = 0, append(f.deltas, countsOfEks(delta))
		}
		fl, x, err := h.tel.enter("default", p.id)
		if err != nil {
			h.t.Fatal(err)
		}
		defer fl.mu.Unlock()
		h.tel.take(fl, x, f, now)
	}})
}

func countsOfEks(c Counts) delta { return delta{name: "orders/eks", counts: c} }

// round sends a load report.
func (h *modelHouse) round(p *modelled, ms int) {
	s, length := h.streams[p], time.Duration(ms-p.reported)*time.Millisecond
	p.reported = ms
	report := loadReport{length: length}
	for i := range p.report {
		t := p.report[i]
		t.endpoint = fmt.Sprint(i)
		if t.issued+t.succeeded+t.failed+t.open > 0 {
			report.tries = append(report.tries, t)
		}
		p.report[i] = tries{open: t.open}
	}
	if p.old && !slices.ContainsFunc(report.tries, func(t tries) bool { return t.issued+t.open > 0 }) {
		report.tries = nil
	}
	p.mail = append(p.mail, letter{ms + p.random.IntN(40), func(now time.Time) {
		s.take(map[string]loadReport{"orders/eks": report}, now)
		h.ask(p, ms)
	}})
}

// ask lets a stream send what it has to ask.
func (h *modelHouse) ask(p *modelled, ms int) {
	s := h.streams[p]
	if s == nil {
		return
	}
	answer := s.next(h.now)
	if answer == nil {
		return
	}
	p.mail = append(p.mail, letter{ms + 40 + p.random.IntN(20), func(time.Time) {
		switch on := len(answer.GetClusters()) > 0; {
		case h.streams[p] != s:
		case !on:
			p.reported = 0
		case p.reported == 0:
			p.reported, p.began = h.ms(), true
			for i := range p.report {
				p.report[i] = tries{open: p.report[i].open}
			}
		}
	}})
}

func (h *modelHouse) ms() int { return int(h.now.Sub(testTime).Milliseconds()) }

// open begins the load report stream of a proxy, and close ends it.
func (h *modelHouse) open(p *modelled) {
	f, x, err := h.tel.enter("default", p.id)
	if err != nil {
		h.t.Fatal(err)
	}
	x.version = new140
	s := &loadStream{telemetry: h.tel, fleet: f, proxy: x, wake: make(chan struct{}, 1)}
	x.load.Store(s)
	h.tel.attend(f, x)
	f.mu.Unlock()
	h.streams[p] = s
	h.ask(p, h.ms())
}

func (h *modelHouse) close(p *modelled) {
	h.streams[p].leave()
	delete(h.streams, p)
	p.reported = 0
}

// run lets time pass, with lanes that come and go, and checks each read against the truth so far.
func (h *modelHouse) run(random *rand.Rand) {
	h.watch = h.tel.Watch("orders", []string{"default"}, "eks")
	defer h.watch.Close()
	period := 300 + random.IntN(2000)
	for ms := 1; ms < modelDrain; ms++ {
		h.now = at(ms)
		for _, p := range h.proxies {
			n := p.tick(ms)
			h.truth.add(n)
			if ms%period == 0 {
				h.flush(p, ms)
			}
			if p.reported > 0 && ms-p.reported >= 250 && h.streams[p] != nil {
				h.round(p, ms)
			}
			for len(p.mail) > 0 {
				i := slices.IndexFunc(p.mail, func(l letter) bool { return l.arrives <= ms })
				if i < 0 {
					break
				}
				l := p.mail[i]
				p.mail = slices.Delete(p.mail, i, i+1)
				l.deliver(h.now)
			}
			if h.steady && ms == 1 || !h.steady && random.IntN(1500) == 0 {
				if h.streams[p] == nil {
					h.open(p)
				} else {
					h.close(p)
				}
			}
		}
		if random.IntN(100) == 0 {
			h.look(ms)
		}
	}
	h.look(modelDrain)
}

// ahead is how many requests are in the windows so far that will be left out of later ones.
func (h *modelHouse) ahead() uint64 { return h.watch.tallies[0].owed }

// look reads the watch, and checks that nothing was counted that has not been.
func (h *modelHouse) look(ms int) {
	h.read.Completed += h.ahead()
	w := h.watch.Read(h.now)[0]
	if w.Failed > w.Completed {
		h.t.Fatalf("at %d ms: %+v", ms, w)
	}
	h.read = guard.Join(h.read, w)
	h.read.Completed -= h.ahead()
	if h.read.Failed > h.truth.failures || h.read.Completed > h.truth.requests {
		h.t.Fatalf("at %d ms: %d of %d requests failed, but clients saw %+v", ms, h.read.Failed, h.read.Completed, h.truth)
	}
}
