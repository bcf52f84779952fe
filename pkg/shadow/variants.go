package shadow

import (
	"cmp"
	"slices"
)

// Variant is one pair of values at a place, of kinds whose values are no content: statuses and failures.
type Variant struct {
	Control   string `json:"control"`
	Candidate string `json:"candidate"`
	Count     uint64 `json:"count"` // pairs
}

// Bounds of variants.
const (
	MaxVariants  = 8  // that a report shows of a place
	keptVariants = 32 // that are counted
)

// plain says that the values of a kind are shown, so that one place can tell of several differences: of a 405 beside a 200.
func (k Kind) plain() bool { return k == KindStatus || k == KindFailure || k == KindGRPCStatus }

// plain is a status or a failure in a word; of anything else only what it is.
func (s Shape) plain() string {
	switch s.Type {
	case "status", "failure", "code":
		return s.Value
	}
	return s.Type
}

func (v Variant) compare(o Variant) int {
	return cmp.Or(cmp.Compare(v.Control, o.Control), cmp.Compare(v.Candidate, o.Candidate))
}

// addVariant counts a pair of values. Of too many the last in order are left out: those that stay were never left out before, so their counts
// are whole, and the sum does not depend on the order of adding.
func (c *cell) addVariant(v Variant) {
	at, found := slices.BinarySearchFunc(c.variants, v, Variant.compare)
	switch {
	case found:
		c.variants[at].Count += v.Count
	case at < keptVariants:
		c.variants = slices.Insert(c.variants, at, v)
		c.variants = c.variants[:min(len(c.variants), keptVariants)]
	}
}

// shownVariants are the most frequent ones.
func (c *cell) shownVariants() []Variant {
	out := slices.Clone(c.variants)
	slices.SortStableFunc(out, func(a, b Variant) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(len(out), MaxVariants)]
}

// soundVariants says that a cell can have these: few, in order, and of no more pairs than there were.
func (c *wireCell) soundVariants() bool {
	if len(c.Variants) > 0 && !c.Kind.plain() || len(c.Variants) > keptVariants {
		return false
	}
	total := uint64(0)
	for i, v := range c.Variants {
		if len(v.Control) > MaxValue || len(v.Candidate) > MaxValue || v.Count == 0 || v.Count > c.Count || i > 0 && c.Variants[i-1].compare(v) >= 0 {
			return false
		}
		total += v.Count
	}
	return total <= c.Count
}
