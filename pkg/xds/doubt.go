package xds

import "slices"

// doubtful stands for the version of what a proxy may have or not, since it refused the response that it was in. Envoy takes what is good of such a
// response all the same, and says at its next stream that it has the version before. It is the version of nothing, so the proxy is sent what it should
// have, be that what it had.
const doubtful = "?"

// doubt is what is known of a name in doubt.
type doubt struct {
	before, tried string // the version that the proxy had, and that which it may have; "" for none
}

// inParts says whether Envoy may take a part of a response of a kind that it refuses. Of clusters and listeners it does (removals first), see CdsApiHelper and
// LdsApiImpl. Route configurations, and virtual hosts of several, are told of their parts one after the other until one refuses, see WatchMap.
func (k kind) inParts() bool { return slices.Contains(structural[:], k) }

// doubt notes which of these versions the proxy may have.
func (k *kindState) doubt(tried map[string]string) {
	for name, version := range tried {
		before := k.have.version(name)
		if before == version {
			continue // it has said that it has it
		}
		if d, in := k.doubts[name]; in && before == doubtful {
			if d.tried != version {
				d.tried = doubtful // one of several
			}
			k.doubts[name] = d
			continue
		}
		if k.doubts == nil {
			k.doubts = map[string]doubt{}
		}
		k.doubts[name] = doubt{before, version}
		k.have.set(name, doubtful)
	}
}

// notTaken takes a refusal: of one resource, which the proxy did not take before either, or of several, of which it may have taken some.
func (k *kindState) notTaken(d *diff) {
	tried := d.versions()
	if len(tried) > 1 {
		k.doubt(tried)
		return
	}
	for name, version := range tried {
		if was, in := k.doubts[name]; in && was.tried == version && k.have.version(name) == doubtful {
			k.have.set(name, was.before)
			delete(k.doubts, name)
		}
	}
}

// inDoubt are the versions that the proxy may have when its stream ends: those in doubt, and what is on its way, whose refusal may be lost. Of that, what it
// did not have is not among them, but for listeners: it will not say that it has it, so it is sent it, and what is not wanted any more is asked by nobody.
func (s *session) inDoubt(of kind) map[string]string {
	k := &s.kinds[of]
	out := k.carried
	add := func(name, version string) {
		if out == nil {
			out = map[string]string{}
		}
		out[name] = version
	}
	for name, d := range k.doubts {
		if k.have.version(name) == doubtful {
			add(name, d.tried)
		}
	}
	if k.sent != nil && len(k.sent.delta.upserts)+len(k.sent.delta.removals) > 1 {
		for name, version := range k.sent.delta.versions() {
			if of == listeners || k.have.version(name) != "" {
				add(name, version)
			}
		}
	}
	return out
}
