package comparator

import (
	"log/slog"
	"maps"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// obey takes orders. What is not among them has ended.
func (k *comparator) obey(o *crossfadev1.WorkResponse, now time.Time) {
	orders := map[string]*crossfadev1.RunOrder{}
	for _, order := range o.GetRuns() {
		orders[runKey(order.GetMirror().GetName(), order.GetMirror().GetRun().GetId())] = order
	}
	made := k.newRuns(orders)
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := o.GetProxies(); p != nil {
		k.proxies = p.GetAddresses()
	}
	maps.Copy(k.runs, made)
	maps.DeleteFunc(k.refused, func(key string, _ bool) bool { return orders[key] == nil })
	for key, r := range k.runs {
		switch order := orders[key]; {
		case order != nil:
			r.order(order, o.GetSequence(), now)
			r.early(k.early[key])
			delete(k.early, key)
		default:
			r.end(now)
			if r.over(o.GetSequence(), now) {
				delete(k.runs, key)
			}
		}
	}
	k.leaseEnds = now.Add(o.GetLease().AsDuration())
}

// newRuns makes the runs that are not known yet. It takes time, so that copies do not wait for it. One that cannot be worked on is said once.
func (k *comparator) newRuns(orders map[string]*crossfadev1.RunOrder) map[string]*run {
	made := map[string]*run{}
	for key, order := range orders {
		k.mu.RLock()
		known, n := k.runs[key] != nil || k.refused[key], len(k.runs)
		k.mu.RUnlock()
		if known || n+len(made) >= policy.MaxComparatorRuns {
			continue
		}
		r, err := newRun(key, order, k.limits.InFlight)
		if err != nil {
			k.log.Error("an order cannot be followed: nobody is asked for it", slog.String("mirror", order.GetMirror().GetName()), slog.Any("error", err))
			k.mu.Lock()
			k.refused[key] = true
			k.mu.Unlock()
			continue
		}
		made[key] = r
	}
	return made
}

// over says that all that is known of a run is with the server: it has ended, and the counts after that were taken.
func (r *run) over(taken int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ended.IsZero() && now.Sub(r.ended) >= lateCopies && r.inFlight == 0 && !r.changed && r.sentIn > 0 && taken >= r.sentIn
}
