package comparator

import (
	"log/slog"
	mathrand "math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// readers are the comparers of a run. At most as many are in use as places in [comparator.judging].
type readers struct {
	mu      sync.Mutex
	options shadow.Options
	free    []*reader
}

type reader struct {
	compare *shadow.Comparer
	outcome *shadow.Outcome
	knows   *shadow.Descriptors
}

func newReaders(o shadow.Options) *readers { return &readers{options: o} }

func (r *readers) get() *reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.free); n > 0 {
		out := r.free[n-1]
		r.free = r.free[:n-1]
		return out
	}
	c, _ := shadow.NewComparer(r.options) // options that were good once
	return &reader{compare: c, knows: r.options.Descriptors}
}

// put gives a reader back, unless it reads by other descriptors than are known now.
func (r *readers) put(back *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if back.knows == r.options.Descriptors {
		r.free = append(r.free, back)
	}
}

// learn makes new comparers know descriptors.
func (r *readers) learn(d *shadow.Descriptors) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.options.Descriptors, r.free = d, nil
}

// start asks for a copy that [comparator.begin] was called for, in a goroutine of its own.
func (k *comparator) start(c *copied) {
	k.mu.RLock()
	address, leased := k.proxies[c.at.proxy], time.Now().Before(k.leaseEnds)
	k.mu.RUnlock()
	dropped := ""
	switch {
	case !leased:
		dropped = dropLease
	case address == "":
		dropped = dropProxy
	}
	if dropped != "" {
		k.settle(c, c.run.leave, dropped)
		return
	}
	c.at.address = address
	go func() { k.settle(c, c.run.leave, k.work(c)) }()
}

// work asks the origins and judges the answers. It says why the copy is dropped; empty if it is in the tally.
func (k *comparator) work(c *copied) (dropped string) {
	if c.grpc && !k.knows(c) {
		return dropLearning
	}
	c.mark()
	p := &pair{copied: c}
	if c.run.policy.Mode != policy.Dark {
		p.control = &leg{side: control}
		if mathrand.IntN(10_000) < int(c.run.policy.NoiseShare) {
			p.second = &leg{side: control}
		}
	}
	p.candidate = &leg{side: candidate}
	if !k.breathe() {
		return dropCanceled
	}
	if dropped := k.ask(c, p.legs()); dropped != "" {
		return dropped
	}
	again, dropped := k.judge(p, true)
	if !again || dropped != "" {
		return dropped
	}
	second := &leg{side: control}
	if k.ask(c, []*leg{second}) == "" {
		p.second, p.asked = second, true
	}
	_, dropped = k.judge(p, false)
	return dropped
}

// breathe lets the request that a copy is made of be answered first: it goes through the same proxy at this moment. It says whether there is still
// somebody to ask afterwards.
func (k *comparator) breathe() bool {
	pause := time.NewTimer(k.limits.pause + mathrand.N(4*k.limits.pause))
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-k.asking.Done():
		return false
	}
}

// pair is a copy with its legs. In dark mode there is only the candidate's.
type pair struct {
	*copied
	control, candidate, second *leg
	asked                      bool // the second one because of a difference
}

func (p *pair) legs() []*leg {
	out := make([]*leg, 0, 3)
	for _, l := range []*leg{p.control, p.candidate, p.second} {
		if l != nil {
			out = append(out, l)
		}
	}
	return out
}

// judge compares, when there is a place for it, and counts the outcome. With again, nothing is counted: control is to be asked once more. A
// panic is that of one pair: what made it is in that pair only.
func (k *comparator) judge(p *pair, mayAsk bool) (again bool, dropped string) {
	k.judging <- struct{}{}
	defer func() {
		<-k.judging
		if problem := recover(); problem != nil {
			// Neither its text nor the pair is shown: they may be content.
			k.log.Error("comparing failed", slog.String("mirror", p.run.policy.Name), slog.String("stack", string(debug.Stack())))
			again, dropped = false, dropPanic
		}
	}()
	for _, l := range p.legs() {
		if dropped := l.reply.decode(p.run.policy.BodyCap, p.cost); dropped != "" {
			return false, dropped
		}
	}
	if p.control == nil {
		p.run.addDark(p.path, &p.candidate.reply.Answer, time.Now())
		return false, ""
	}
	return p.run.compare(p, mayAsk && k.leased(time.Now()) && p.run.mayAsk(time.Now())), ""
}

func (r *run) addDark(path string, a *shadow.Answer, now time.Time) {
	r.tallying.Lock()
	defer r.tallying.Unlock()
	r.tally.AddDark(path, a, now)
}

// compare judges a pair and counts the outcome, unless control should be asked again.
func (r *run) compare(p *pair, mayAsk bool) (again bool) {
	with := r.readers.get()
	q := &shadow.Pair{Method: p.method, Path: p.uri, Control: &p.control.reply.Answer, Candidate: &p.candidate.reply.Answer}
	if p.second != nil {
		q.Second, q.Chosen = &p.second.reply.Answer, shadow.ByChance
		if p.asked {
			q.Chosen = shadow.ByDifference
		}
	}
	o := with.compare.Judge(q, r.statuses(), with.outcome)
	with.outcome = o
	again = r.add(o, mayAsk)
	r.readers.put(with)
	return again
}

func (r *run) add(o *shadow.Outcome, mayAsk bool) (again bool) {
	r.tallying.Lock()
	defer r.tallying.Unlock()
	if mayAsk && r.tally.Wants(o) {
		return true
	}
	r.tally.Add(o, time.Now())
	return false
}
