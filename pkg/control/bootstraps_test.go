package control_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestWhoDoesNotReportWhatTheOtherOriginHidesIsNamed: a change that needs newer bootstraps says at which proxies, and what to do.
func TestWhoDoesNotReportWhatTheOtherOriginHidesIsNamed(t *testing.T) {
	if n, err := strconv.Atoi(envoy.Version); err != nil || n < control.HiddenSince {
		t.Errorf("bootstraps are of version %q, and hidden failures are reported since %d", envoy.Version, control.HiddenSince)
	}
	w, _ := rolloutWorld(t, t.TempDir())
	const hides = "what retries.otherOrigin hides is not reported by 2 of 4 proxies, so that guards see too few failures: old, own."
	want := func(what string, warned bool, changes []*crossfadev1.Change, err error) {
		t.Helper()
		if err != nil || len(changes) == 0 {
			t.Fatalf("%s: %v %v", what, changes, err)
		}
		warnings := changes[0].GetWarnings()
		if got := slices.ContainsFunc(warnings, func(s string) bool { return strings.HasPrefix(s, hides) }); got != warned {
			t.Errorf("%s: %q", what, warnings)
		}
	}
	o := control.Options{Who: "ann"}
	apply := func(other *crossfadev1.OtherOrigin) ([]*crossfadev1.Change, error) {
		doc := orders(0)
		if other != nil {
			doc.GetService().Retries = &crossfadev1.Retries{OtherOrigin: other}
		}
		return w.Apply(t.Context(), []*crossfadev1.Document{doc}, o)
	}
	changes, err := apply(nil)
	want("without the other origin", false, changes, err)
	for id, version := range map[string]string{"new": envoy.Version, "old": "1", "own": "ours", "next": "10"} {
		w.connect(deltaclient.New(deltaclient.Config{ID: id, Fleet: "default", Bootstrap: version, ListenAddress: "127.0.0.1", Layers: translate.LayerNames()}))
		w.awaitProxy("default", id, xds.StateOK)
	}
	changes, err = apply(&crossfadev1.OtherOrigin{})
	want("turned on", true, changes, err)
	change, _, err := w.StartRollout(t.Context(), rolloutDoc("r1"), "", 0, o)
	want("a rollout starts", true, []*crossfadev1.Change{change}, err)
	changes, err = w.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, o)
	want("a rollback, which needs nothing to be read", false, changes, err)
	changes, err = apply(nil)
	want("turned off", false, changes, err)
}
