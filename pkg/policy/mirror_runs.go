package policy

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// MergeMirror is the rule of an apply: the run is the server's, so that of the applied document does not count and what is live stays. live
// is nil for the first apply of an experiment.
func MergeMirror(live, applied *crossfadev1.Mirror) *crossfadev1.Mirror {
	out := proto.CloneOf(applied)
	out.Run = proto.CloneOf(live.GetRun())
	return out
}

// SameMirror tells whether two documents are equal but for their runs.
func SameMirror(a, b *crossfadev1.Mirror) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	return a == nil || proto.Equal(withoutRun(a), withoutRun(b))
}

func withoutRun(doc *crossfadev1.Mirror) *crossfadev1.Mirror {
	if doc.GetRun() == nil {
		return doc
	}
	out := proto.CloneOf(doc)
	out.Run = nil
	return out
}

// RunMirror returns the document with a new run, which takes the place of an earlier one.
func RunMirror(doc *crossfadev1.Mirror, id string, now time.Time) *crossfadev1.Mirror {
	out := proto.CloneOf(doc)
	out.Run = &crossfadev1.MirrorRun{Id: id, Started: timestamppb.New(now)}
	return out
}

// EndMirror returns the document with its run ended. One that has ended, or was never started, stays as it is: the first reason counts.
func EndMirror(doc *crossfadev1.Mirror, now time.Time, why, detail string) *crossfadev1.Mirror {
	out := proto.CloneOf(doc)
	if r := out.GetRun(); r != nil && r.GetEnded() == nil {
		r.Ended, r.Why, r.Detail = timestamppb.New(now), why, detail
	}
	return out
}

// mirrorRun returns the run of a document; the zero one if it was never started.
func (p *problems) mirrorRun(d *crossfadev1.MirrorRun) MirrorRun {
	if d == nil {
		return MirrorRun{}
	}
	if d.GetId() == "" || len(d.GetId()) > MaxNameBytes {
		p.add("run.id", "run_id", d.GetId(), "a run has a name, of at most 63 characters", "leave run out: the server writes it")
	}
	if d.GetStarted() == nil {
		p.add("run.started", "time_missing", "", "it is not said when the run was started", "leave run out: the server writes it")
	}
	return MirrorRun{
		ID: d.GetId(), Started: p.time("run.started", d.GetStarted()), Ended: p.time("run.ended", d.GetEnded()), Why: d.GetWhy(), Detail: d.GetDetail(),
	}
}

// time returns a time in UTC; the zero one if it is absent.
func (p *problems) time(field string, d *timestamppb.Timestamp) time.Time {
	if d == nil {
		return time.Time{}
	}
	if d.CheckValid() != nil {
		p.add(field, "time_invalid", "", "is not a time of the years 1 to 9999", "")
		return time.Time{}
	}
	return d.AsTime()
}
