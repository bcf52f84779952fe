package control

import (
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// A service carries what last set its split, its cause: the ID of a rollout's effect, "rollback/STAMP", or "change/STAMP" of anything else. Changes
// that leave the split leave it. That is how a rollout knows its own work from somebody else's, over a restart as well.

const (
	causeRollback = "rollback/"
	causeChange   = "change/"
)

// causeAfter is the cause of a service, and who that was, after a change by options; old is nil for a new one.
func causeAfter(old *service, after *crossfadev1.Service, o Options, stamp string) (cause, by string) {
	switch {
	case o.Cause != "":
		return o.Cause, o.Who
	case old == nil || after == nil || !sameSplit(old.doc, after):
		return causeChange + stamp, o.Who
	}
	return old.cause, old.by
}

// sameSplit says whether two documents divide requests alike, in each fleet.
func sameSplit(a, b *crossfadev1.Service) bool {
	return maps.Equal(policy.Weights(a), policy.Weights(b)) &&
		proto.Equal(&crossfadev1.Service{RolledBackIn: a.GetRolledBackIn()}, &crossfadev1.Service{RolledBackIn: b.GetRolledBackIn()})
}

// made remembers which changes of splits rollouts made: revisions by the ID of the effect, by the ID of the plan. Guarded by the controller's mu.
type made map[string]map[string]int64

// note remembers a revision, if it is the first that a rollout's effect caused: others only carry its cause on.
func (m made) note(r *crossfadev1.Revision) {
	plan, _, ok := strings.Cut(r.GetCause(), "/")
	if !ok || !rollout.IsRun(plan) || r.GetKind() != kindService {
		return
	}
	if m[plan] == nil {
		m[plan] = map[string]int64{}
	}
	if first, known := m[plan][r.GetCause()]; !known || r.GetRevision() < first {
		m[plan][r.GetCause()] = r.GetRevision()
	}
}
