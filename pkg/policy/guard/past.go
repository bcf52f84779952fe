package guard

import (
	"math"
	"time"
)

// past is what a guard has learnt of how bad requests come when nothing is wrong.
type past struct {
	Block  block   `json:"block"`  // being filled
	Recent []block `json:"recent"` // the candidate's are not learnt from yet: they may be the beginning of what is looked for
	Long   block   `json:"long"`   // of the control, being filled
	Both   block   `json:"both"`   // of both, being filled as long as that, without the recent ones

	Requests uint64 `json:"requests"` // of the candidate, all but the recent ones
	Bad      uint64 `json:"bad"`
	// Of the control, all.
	Others    uint64 `json:"others"`
	OthersBad uint64 `json:"othersBad"`

	Before     block `json:"before"`     // the last one of the candidate that was learnt from
	LastOther  block `json:"lastOther"`  // the last block, for the control's part
	LongBefore block `json:"longBefore"` // the last long one
	BothBefore block `json:"bothBefore"` // and of both

	Candidate Spread `json:"candidate"` // block by block
	Control   Spread `json:"control"`
	Longer    Spread `json:"longer"`  // of the control, over blocks of ten seconds
	Between   Spread `json:"between"` // how bad ones are split between the origins, block by block
	Apart     Spread `json:"apart"`   // and over ten seconds
}

// block is at least a second: how many requests, and how many of them bad, at the candidate (N, X) and at the control (M, Y).
type block struct {
	Length time.Duration `json:"length"`
	N      uint64        `json:"n,omitempty"`
	X      uint64        `json:"x,omitempty"`
	M      uint64        `json:"m,omitempty"`
	Y      uint64        `json:"y,omitempty"`
}

const (
	blockLength = time.Second
	longLength  = 10 * time.Second
	longer      = float64(longLength / blockLength)
	// lag is how long the candidate's requests are not learnt from: longer than an obvious failure takes to be seen.
	lag       = 5
	maxRecent = lag + 1
)

func (b *block) add(o *block) {
	b.Length += o.Length
	b.N += o.N
	b.X += o.X
	b.M += o.M
	b.Y += o.Y
}

// learn adds a window.
func (p *past) learn(b block) {
	if p.Block.add(&b); p.Block.Length < blockLength {
		return
	}
	full := p.Block
	p.Block = block{}
	p.Control.inTime(full.M, full.Y, p.LastOther.M, p.LastOther.Y)
	p.LastOther = full
	p.Others += full.M
	p.OthersBad += full.Y
	if p.Long.add(&full); p.Long.Length >= longLength {
		p.Longer.inTime(p.Long.M, p.Long.Y, p.LongBefore.M, p.LongBefore.Y)
		p.LongBefore, p.Long = p.Long, block{}
	}
	if p.Recent = append(p.Recent, full); len(p.Recent) > lag {
		old := p.Recent[0]
		p.Recent = append([]block(nil), p.Recent[1:]...)
		p.Requests += old.N
		p.Bad += old.X
		p.Candidate.inTime(old.N, old.X, p.Before.N, p.Before.X)
		p.Between.between(&old, &p.Before)
		p.Before = old
		if p.Both.add(&old); p.Both.Length >= longLength {
			p.Apart.between(&p.Both, &p.BothBefore)
			p.BothBefore, p.Both = p.Both, block{}
		}
	}
}

// recent adds up what the candidate's past does not hold yet.
func (p *past) recent() (n, x uint64) {
	n, x = p.Block.N, p.Block.X
	for _, b := range p.Recent {
		n += b.N
		x += b.X
	}
	return n, x
}

// From known on a variance says enough of its spread: then a ratio is judged by the spread between the origins alone. From own on the candidate's
// says whether its clumps are as large as those of the control, however much traffic it has; until then they are taken to be, up to unseen.
const (
	known  = 30
	own    = 10
	unseen = 3 // so many times more variance than chance
)

// discount is by how much evidence is divided because bad requests come in clumps: clumps of c leave as much as one draw each. The control shows
// what is normal, over a second and over ten; the candidate may have more of its own. For a ratio what hits both alike does not count.
func (p *past) discount(relative bool) float64 {
	n, shared := 0.0, 0.0 // in a block
	for i := range p.Recent {
		n += float64(p.Recent[i].N) / float64(len(p.Recent))
		shared += p.Recent[i].shared() / float64(len(p.Recent))
	}
	between := max(p.Between.each(), p.Apart.each()*longer) * shared
	if relative && p.Between.Variance >= known {
		return min(1+between, mostDiscount)
	}
	each, least := max(p.Candidate.each(), p.Control.each(), p.Longer.each()*longer), 0.0
	if p.Candidate.Variance < own {
		least = min(p.Control.excess(), unseen)
	}
	if relative {
		return min(1+max(between, each*shared, least), mostDiscount)
	}
	return min(1+max(each*n, least), mostDiscount)
}

// usual is the share of bad requests that is taken for usual: twice what was seen so far, and a bit. It is at most the limit, and at least a
// fiftieth of it or 0.1 %.
func usual(requests, bad, limit, discount float64) float64 {
	if requests <= 0 {
		return limit
	}
	return min(limit, max(2*(bad+3*discount)/requests, min(limit/50, 0.001)))
}

// lent is how many bad requests, as the limit allows them, the control's past counts for while the candidate has little of its own.
const lent = 15

// usualHere is what is usual for the candidate: its own past, and so much of the control's.
func (p *past) usualHere(limit, discount float64) float64 {
	requests, bad := float64(p.Requests), float64(p.Bad)
	if others := float64(p.Others); others > 0 {
		part := min(others, lent/limit)
		requests += part
		bad += part * float64(p.OthersBad) / others
	}
	return usual(requests, bad, limit, discount)
}

func (p *past) wrong() string {
	for _, s := range []*Spread{&p.Candidate, &p.Control, &p.Longer, &p.Between, &p.Apart} {
		for _, v := range []float64{s.Squares, s.Variance, s.Second, s.Weighted} {
			if !(v >= 0) || math.IsInf(v, 0) {
				return "a spread that cannot be"
			}
		}
	}
	return ""
}
