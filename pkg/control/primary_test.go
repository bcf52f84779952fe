package control_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestARollbackIsNotTurnedRound: a change of the primary that is being written when somebody rolls back does not send everything to the new one, neither
// then nor after a restart, be the rollback in the store by then or only in the journal.
func TestARollbackIsNotTurnedRound(t *testing.T) {
	for _, target := range []control.RollbackTarget{orderTarget, inEU, {All: true}} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("fleet %q, all %v, killed %v", target.Fleet, target.All, killed), func(t *testing.T) {
				dir := t.TempDir()
				w := newWorld(t, dir)
				w.applyAll(spread(10000))
				w.store.close()
				done := make(chan *crossfadev1.Change, 1)
				go func() {
					change, err := w.SetPrimary(context.Background(), "orders", "eks", control.Options{Who: "ann"})
					if err != nil {
						t.Error(err)
					}
					done <- change
				}()
				<-w.store.arrived
				w.rollBack(target)
				if killed {
					w.store.failWith(fmt.Errorf("%w: no space left on device", store.ErrUnavailable))
				}
				w.store.open()
				change := <-done
				w.want("when the change was written", "eu 0, us 0")
				if all := strings.Join(change.GetWarnings(), "\n"); !strings.Contains(all, "everything is at ecs") || !strings.Contains(all, "set-primary orders ecs") {
					t.Errorf("the change says %q", all)
				}
				w.stop()
				w = newWorld(t, dir)
				w.want("after a restart", "eu 0, us 0")
				w.stop()
				w = newWorld(t, dir)
				w.want("after another", "eu 0, us 0")
				h := w.history()
				if last := h[0]; last.GetAction() != control.ActionRollback || last.GetWho() != "bob" || !last.GetRolledBack() || last.GetAfter().GetService().GetPrimary() != "eks" {
					t.Errorf("the last revision: %v", last)
				}
				if n := len(slices.DeleteFunc(h, func(r *crossfadev1.Revision) bool { return r.GetAction() != control.ActionRollback })); n != 1 {
					t.Errorf("%d rollbacks are recorded", n)
				}
			})
		}
	}
}
