package shadow

// Wants says whether it is worth asking control again for a pair that differs: some place of it is not settled. What it answers depends on
// earlier pairs, and would be the same if control and candidate had answered each what the other did: that keeps the test exact. The pair is
// then judged anew, with the second answer.
func (t *Tally) Wants(o *Outcome) bool {
	if !o.fit || !o.Differs() || o.sampled || o.asked {
		return false
	}
	template, changed := t.templates.Of(o.path)
	if changed {
		t.rename()
	}
	s := t.endpoint(template)
	for i := range o.Differences {
		if !s.settled(placeOf(&o.Differences[i]), t.places >= MaxPlaces) {
			return true
		}
	}
	return false
}

// settled says that asking again for differences at a place would teach nothing new. It is the same for what is missing and for what is added
// there: if control were asked for one and not for the other, the odd answers of candidate and control would no longer be as likely.
// If there is no room for either, nothing can be learnt.
func (s *stat) settled(p place, full bool) bool {
	var both [2]cell
	for i, kind := range [2]Kind{p.kind, p.kind.mirrored()} {
		if c := s.cells[place{kind, p.path}]; c != nil && (i == 0 || kind != p.kind) {
			both[i], full = *c, false
		}
	}
	if full {
		return true
	}
	asked, learned := uint64(0), uint64(0)
	for _, c := range both {
		if c.evidence.Log() > 2*threshold {
			return true
		}
		asked += c.asked
		learned += c.evidence.Candidate + c.evidence.Control
	}
	return asked >= maxAsked || asked >= uninformative && learned*20 < asked
}
