package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/mirror/exact"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

const (
	perRound  = 4    // uploads of each kind in a round, at each time
	moreShare = 0.10 // by which the time of an upload may grow, or by moreTime
	held      = 1.0  // seconds beyond the longest without a mirror: so long takes only one that waits for its copy
)

// When an upload is made.
const (
	unmirrored = "no mirror"
	justFrozen = "comparator just frozen" // the proxy does not know yet
	heldDead   = "comparator frozen for long"
)

// upload is a kind of upload, and how long those took that were made at each time, by round.
type upload struct {
	protocol exact.Protocol
	bytes    int
	took     map[string]report.Series
	failed   map[string]int
	reasons  []string
}

// allUploads are POSTs, whose length is declared, and calls of gRPC, whose length is not.
func allUploads() (out []*upload) {
	add := func(p exact.Protocol, sizes ...int) {
		for _, bytes := range sizes {
			out = append(out, &upload{protocol: p, bytes: bytes, took: map[string]report.Series{}, failed: map[string]int{}})
		}
	}
	add(exact.HTTP1, 0, 64<<10, 256<<10, 1<<20, 5<<20, 20<<20)
	add(exact.GRPC, 64<<10, 256<<10, 1<<20, exact.MaxCall)
	return out
}

// uploader makes uploads, one at a time.
type uploader struct {
	site    *site
	clients map[exact.Protocol]exact.Client
	all     []*upload
	copies  []int64 // that the proxy sent to a comparator that was just frozen, by round
}

// uploads uploads through a proxy whose comparator is frozen, and without a mirror.
func (b *bench) uploads(ctx context.Context) error {
	s, err := b.site(ctx, envoybin.Newest, 1, false)
	if err != nil {
		return err
	}
	defer s.close()
	u := &uploader{site: s, all: allUploads(), clients: map[exact.Protocol]exact.Client{
		exact.HTTP1: exact.New(exact.HTTP1, s.targets()[0], "one.test"),
		exact.GRPC:  exact.New(exact.GRPC, s.targets()[0], "rpc.test"),
	}}
	for _, c := range u.clients {
		defer c.Close()
	}
	for range b.rounds {
		if err := u.round(ctx); err != nil {
			return err
		}
	}
	b.uploadLines(u.all, u.copies)
	return s.exited()
}

// round makes all uploads at each time.
func (u *uploader) round(ctx context.Context) error {
	for _, c := range u.clients { // a connection, so that no upload has to make one
		if err := c.Ask(ctx, exact.Ask{Origin: control}); err != nil {
			return err
		}
	}
	u.upload(ctx, unmirrored)
	if err := u.site.start(ctx, writing("one"), writing("rpc")); err != nil {
		return err
	}
	for p, name := range map[exact.Protocol]string{exact.HTTP1: "one", exact.GRPC: "rpc"} {
		if err := u.flow(ctx, u.clients[p], name); err != nil {
			return err
		}
	}
	if err := u.site.place().Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	before, err := u.site.copied(ctx)
	if err != nil {
		return err
	}
	u.upload(ctx, justFrozen)
	after, err := u.site.copied(ctx)
	if err != nil {
		return err
	}
	u.copies = append(u.copies, after-before)
	if err := await(ctx, "the proxy to notice", u.site.comparatorHeldDead); err != nil {
		return err
	}
	u.upload(ctx, heldDead)
	return errors.Join(u.site.place().Signal(syscall.SIGCONT), u.site.stop(ctx, "one", "rpc"))
}

// flow asks until copies come.
func (u *uploader) flow(ctx context.Context, c exact.Client, name string) error {
	return await(ctx, "copies of "+name, func(ctx context.Context) error {
		err := c.Ask(ctx, exact.Ask{Upload: true, Bytes: 16, Origin: control})
		r, failed := u.site.found(ctx, name)
		if failed == nil && r.GetMirrored() == 0 {
			failed = errors.New("none came")
		}
		return errors.Join(err, failed)
	})
}

func (u *uploader) upload(ctx context.Context, when string) {
	for _, of := range u.all {
		of.took[when] = append(of.took[when], nil)
	}
	for range perRound {
		for _, of := range u.all {
			one, cancel := context.WithTimeout(ctx, 20*time.Second)
			began := time.Now()
			err := u.clients[of.protocol].Ask(one, exact.Ask{Bytes: of.bytes, Upload: true, Origin: control})
			cancel()
			last := len(of.took[when]) - 1
			of.took[when][last] = append(of.took[when][last], time.Since(began).Seconds())
			if err != nil {
				of.failed[when]++
				of.reasons = append(of.reasons, when+": "+err.Error())
			}
		}
	}
}

// comparatorHeldDead is an error while the proxy sends copies.
func (s *site) comparatorHeldDead(ctx context.Context) error {
	hosts, err := s.Proxies[0].Hosts(ctx)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if h.Cluster == "@comparator" && !slices.Contains(h.Failing, "failed_active_health_check") {
			return fmt.Errorf("%s is not held for dead", h.Address)
		}
	}
	return nil
}

// uploadLines adds what uploads say, with how many copies were sent to a comparator that was just frozen, by round.
func (b *bench) uploadLines(all []*upload, copies []int64) {
	for _, of := range all {
		other := of.took[unmirrored]
		for _, when := range []string{unmirrored, justFrozen, heldDead} {
			name, own := system, of.took[when]
			if when == unmirrored {
				name = peer
			}
			line := report.NewLine(name, "upload", "s", map[string]any{"protocol": of.protocol, "bytes": of.bytes, "when": when, "proxies": 1}, own)
			line.Failed, line.Note = of.failed[when], strings.Join(of.reasons[:min(3, len(of.reasons))], "; ")
			if when != unmirrored {
				unchanged(line.Compare(peer, report.ByP50, own, other), other)
			}
			if when == justFrozen && slices.Contains(copies, 0) {
				line.Invalidate("in a round no copy was sent to the comparator: it was held for dead at once")
			}
			b.r.Add(line)
			fmt.Printf("uploads, %s of %d bytes, %s: p50 %.2f ms, max %.2f; %d of %d failed %s\n", of.protocol, of.bytes, when, line.P50*1e3, line.Max*1e3, line.Failed, line.N, line.Note)
		}
	}
}

// unchanged says that uploads should take as long as others, by the medians of the rounds. One that is held up is so until its copy ends, which a median would
// not show.
func unchanged(line *report.Line, other report.Series) {
	all := other.All()
	usual, longest := report.ByP50.Of(all), all[len(all)-1]+held
	most := 1 + max(moreShare, moreTime/usual)
	line.AimRatio(most)
	line.AimOf(fmt.Sprintf("all of the interval of the ratio at most %.3g, that is %.0f %% or %.1f ms more than without a mirror; none longer than %.0f ms; 0 failed",
		most, moreShare*100, moreTime*1e3, longest*1e3), fmt.Sprintf("%s; longest %.0f ms, %d failed", line.Measured, line.Max*1e3, line.Failed),
		*line.Met && line.Max <= longest && line.Failed == 0)
}
