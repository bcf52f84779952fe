package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Row is the order in which the origins of a split stand. A recognised user has a fixed place from 0 to Whole and gets the origin whose
// weight covers it, so the row decides who moves when weights change. Two origins stand in the order written: raising one moves users
// only towards it. Of three or more, the first three are turned so that the primary, if it is one of them, stands in the middle: a
// change between the primary and one neighbour then leaves the users of the other where they are.
func (s *Service) Row() []string {
	row := s.OriginNames()
	if len(row) < 3 {
		return row
	}
	if i := slices.Index(row[:3], s.Primary); i >= 0 {
		row[0], row[1], row[2] = row[(i+2)%3], row[i], row[(i+1)%3]
	}
	return row
}

// OriginNames lists the origins in the order written.
func (s *Service) OriginNames() []string {
	names := make([]string, len(s.Origins))
	for i := range s.Origins {
		names[i] = s.Origins[i].Name
	}
	return names
}

// split divides a request that no pin took.
func (d *Decision) split(s *Service, q *Request, trustedHops int) {
	row := slices.DeleteFunc(s.Row(), func(o string) bool { return s.Split.Weights[o] == 0 })
	if len(row) == 1 {
		d.Origin = row[0]
		d.say("the split sends everything to %q", row[0])
	}
	if s.Split.Sticky != nil {
		d.Hash = s.Split.Sticky.hash(q, trustedHops)
	}
	switch {
	case len(row) == 1:
	case d.Hash != nil:
		d.place(s, row)
	default:
		d.draw(s, row)
	}
	d.otherTry(s)
}

// place finds the origin of a recognised user.
func (d *Decision) place(s *Service, row []string) {
	var end BasisPoints
	for _, origin := range row {
		if end += s.Split.Weights[origin]; d.Hash.Place < end {
			d.Origin = origin
			d.say("%s has place %d of 10000, which belongs to %q in the split %s", d.Hash.Source, d.Hash.Place, origin, shares(s, row))
			return
		}
	}
}

func (d *Decision) draw(s *Service, row []string) {
	d.Chances = make(map[string]BasisPoints, len(row))
	for _, origin := range row {
		d.Chances[origin] = s.Split.Weights[origin]
	}
	if s.Split.Sticky != nil {
		d.say("%s is missing", s.Split.Sticky)
	}
	d.say("drawn at random by the split %s", shares(s, row))
}

func shares(s *Service, row []string) string {
	parts := make([]string, len(row))
	for i, origin := range row {
		parts[i] = origin + "=" + FormatWeight(s.Split.Weights[origin])
	}
	return strings.Join(parts, " ")
}

// String says for people by what a user is recognised: `cookie "cf"`.
func (k Sticky) String() string {
	switch {
	case k.Cookie != nil:
		return fmt.Sprintf("cookie %q", k.Cookie.Name)
	case k.Header != "":
		return fmt.Sprintf("header %q", k.Header)
	}
	return "the client address"
}

// hash recognises the user, or returns nil. An empty cookie is none; an empty header is one.
func (k *Sticky) hash(q *Request, trustedHops int) *StickyHash {
	var values []string
	switch {
	case k.Cookie != nil:
		if v, _ := q.cookie(k.Cookie.Name); v != "" {
			values = []string{v}
		}
	case k.Header != "":
		values = q.header(k.Header)
	default:
		if v := q.client(trustedHops); v != "" {
			values = []string{v}
		}
	}
	if len(values) == 0 {
		return nil
	}
	h := hashValues(values)
	return &StickyHash{Key: strings.Join(values, ","), Source: k.String(), Hash: h, Place: BasisPoints(h % uint64(Whole))}
}

// hashValues hashes as Envoy does: xxHash64 of the sorted values, the hash of each being the seed of the next, beginning with 0.
func hashValues(values []string) uint64 {
	var h uint64
	for _, v := range slices.Sorted(slices.Values(values)) {
		digest := xxhash.NewWithSeed(h)
		_, _ = digest.WriteString(v) // never fails
		h = digest.Sum64()
	}
	return h
}
