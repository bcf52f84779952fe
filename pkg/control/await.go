package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// awaitAcks waits until every proxy that was connected acknowledged, or one refused what may be undone, in whatever fleet.
func (c *Controller) awaitAcks(ctx context.Context, ch *change, proofs *proofs) error {
	watching, stop := context.WithCancel(ctx)
	heard := make(chan news)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stop()
	for _, f := range ch.fleets {
		watchers.Go(func() { f.watch(watching, heard) })
	}
	for done := 0; done < len(ch.fleets); {
		select {
		case n := <-heard:
			if n.refused {
				if refusal, structural := ch.refusal(n.of); structural {
					return c.revert(ctx, ch, refusal)
				}
			}
			if n.done {
				done++
			}
			proofs.acked(ch)
		case <-ctx.Done():
			return timedOut(ch)
		}
	}
	proofs.acked(ch)
	return nil
}

// news of one fleet: proxies acknowledged, one refused something, or all is done.
type news struct {
	of            *following
	refused, done bool
}

// watch tells of the progress of a fleet until it is done or ctx ends.
func (f *following) watch(ctx context.Context, tell chan<- news) {
	refused := f.waiter.Refused()
	for {
		n := news{of: f}
		select {
		case <-f.waiter.Done():
			n.done = true
			select {
			case <-refused: // the rest may be acknowledged before what was refused is heard of
				n.refused = true
			default:
			}
		case <-f.waiter.Changed():
		case <-refused:
			n.refused = true
		case <-ctx.Done():
			return
		}
		if n.done && refused != nil { // the proxy that refused may be gone
			select {
			case <-refused:
				n.refused = true
			default:
			}
		}
		if n.refused {
			refused = nil
		}
		select {
		case tell <- n:
		case <-ctx.Done():
			return
		}
		if n.done {
			return
		}
	}
}

// refusal returns what a proxy refused, and whether that undoes the change: a structural one, never a rollback or the end of a mirror.
func (ch *change) refusal(f *following) (xds.Refusal, bool) {
	structural := slices.ContainsFunc(ch.edits, func(e *applied) bool {
		return e.structural && e.action != ActionRevert && e.action != ActionRollback && e.action != ActionMirrorEnd
	})
	return f.waiter.Refusals()[0], structural
}

func timedOut(ch *change) *policy.Error {
	var pending []string
	for _, f := range ch.fleets {
		pending = append(pending, f.waiter.Pending()...)
	}
	slices.Sort(pending)
	return &policy.Error{
		Kind: policy.TimedOut, Code: "timed_out", Field: "timeout",
		Message: "the change stands, but " + haveNot(pending) + " acknowledged it yet: " + brief(pending),
		Next:    "`shadowctl fleet` shows what each of them has",
	}
}

// haveNot is "1 proxy has not", "2 proxies have not".
func haveNot(proxies []string) string {
	if len(proxies) == 1 {
		return "1 proxy has not"
	}
	return fmt.Sprintf("%d proxies have not", len(proxies))
}

// brief joins at most a few names.
func brief(names []string) string { return briefOf(names, len(names)) }

// briefOf is brief for so many of which only some are named.
func briefOf(names []string, count int) string {
	names = names[:min(len(names), 5)]
	if count == len(names) {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), count-len(names))
}
