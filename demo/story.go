package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// steps is how many the story has.
const steps = 11

// lasts is how long it will take, in words: steps that watch the client, and some seconds.
func lasts(pace time.Duration) string {
	return fmt.Sprintf("%d seconds", int((8*pace + 40*time.Second).Round(5*time.Second).Seconds()))
}

// story tells it all, in order. An error ends it; a promise that is not kept is noted, and the story goes on.
func (d *demo) story(ctx context.Context, envoy envoybin.Binary) error {
	d.began = time.Now()
	d.tell("Crossfade moves live traffic between two origins. Here is all of it on this machine, on loopback, with real Envoys and real commands. It takes about %s; Ctrl-C ends it.", lasts(d.pace))
	d.title("A control plane, two Envoys, two origins")
	if err := d.start(ctx, d.options, envoy); err != nil {
		return err
	}
	d.introduce(envoy)
	for _, step := range []func(context.Context) error{
		d.everythingToECS, d.whatDiffers, d.tenthToEKS, d.pinByHeader, d.halfToEKS, d.eksBreaks, d.rollBack, d.planStops, d.planWalks, d.controlPlaneDies,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := d.sumUp(ctx); err != nil {
		return err
	}
	if d.keep {
		d.stayUp(ctx)
	}
	return nil
}

func (d *demo) introduce(envoy envoybin.Binary) {
	d.say("  control plane   xds-server, API at %s", d.Server.API)
	for i, address := range d.addresses() {
		d.say("  %s         envoy %s (%s), at %s", d.Proxies[i].ID, envoy.Version, envoy.Source, address)
	}
	for _, o := range d.origins() {
		d.say("  %s             toy origin at %s; its log is the truth", o.Name(), o.Addr())
	}
	d.say("  client          %d requests/s for %s over both proxies, throughout", rate, host)
}

func (d *demo) everythingToECS(ctx context.Context) error {
	d.title("Everything to ecs")
	if err := d.writeService(d.dir); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "orders.yaml"))
	if err != nil {
		return err
	}
	d.typed("cat orders.yaml")
	fmt.Fprint(d.out, string(text))
	if err := d.shadowctl(ctx, "apply", "-f", "orders.yaml"); err != nil {
		return err
	}
	if err := d.awaitReady(ctx); err != nil {
		return err
	}
	if d.traffic, err = startTraffic(ctx, d.addresses()); err != nil {
		return err
	}
	_, err = d.expect(ctx, 0)
	return err
}

// firstLook is the experiment.
const firstLook = `apiVersion: crossfade/v1
kind: Mirror
name: first-look
service: orders
candidate: eks
share: 50%
maxRps: 100
learn: 0s                    # in earnest: a minute in which nobody is asked
duration: 10m
oneBody: true                # toy origins answer all requests alike
`

// differsWithin is how long the comparison may take to find what differs. It takes a second, and longer on a busy machine: the comparator asks only
// what it can ask of both origins at the same time.
const differsWithin = 15 * time.Second

// whatDiffers asks both origins the same, beside the path, before any request of a client goes to eks.
func (d *demo) whatDiffers(ctx context.Context) error {
	d.title("What differs, before anybody notices")
	before := d.traffic.mark()
	if err := os.WriteFile(filepath.Join(d.dir, "first-look.yaml"), []byte(firstLook), 0o644); err != nil {
		return err
	}
	d.typed("cat first-look.yaml")
	fmt.Fprint(d.out, firstLook)
	if err := d.shadowctl(ctx, "mirror", "start", "-f", "first-look.yaml"); err != nil {
		return err
	}
	if err := poll.Pause(ctx, d.pace); err != nil {
		return err
	}
	patience, enough := context.WithTimeout(ctx, differsWithin)
	defer enough()
	_ = poll.Until(patience, 50*time.Millisecond, func(ctx context.Context) error { // what it did not find, the report says
		got, err := d.API.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{Name: "first-look"})
		if err == nil && got.GetReport().GetVerdict() != "Fail" {
			err = errors.New("nothing was found yet")
		}
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, args := range [][]string{{"mirror", "stop", "first-look"}, {"mirror", "report", "first-look"}} {
		if err := d.shadowctl(ctx, args...); err != nil {
			return err
		}
	}
	got, err := d.API.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{Name: "first-look"})
	if err != nil {
		return err
	}
	r := got.GetReport()
	d.promise(r.GetCompared() > 0, "no answers were compared")
	d.promise(r.GetVerdict() == "Fail", "the difference between both origins was not found: verdict %s", r.GetVerdict())
	live, err := d.traffic.between(ctx, before, d.traffic.mark())
	if err == nil {
		d.expectShare(look(live, d.origins()), 0)
	}
	return err
}

func (d *demo) tenthToEKS(ctx context.Context) error {
	d.title("A tenth to eks")
	if err := d.shadowctl(ctx, "split", "set", "orders", "eks=10%"); err != nil {
		return err
	}
	_, err := d.expect(ctx, 0.1)
	return err
}

// beta is the header of the pin.
var beta = [2]string{"x-beta", "1"}

func (d *demo) pinByHeader(ctx context.Context) error {
	d.title("Chosen requests to eks, by header")
	if err := d.shadowctl(ctx, "pin", "add", "orders", "beta", "--origin", "eks", "--header", beta[0]+"="+beta[1]); err != nil {
		return err
	}
	return d.expectPinned(ctx, "beta", "eks")
}

// expectPinned sends requests with the pin's header and says who answered.
func (d *demo) expectPinned(ctx context.Context, tag, want string) error {
	requests, err := d.probe(ctx, tag, beta)
	if err != nil {
		return err
	}
	v := look(requests, d.origins())
	d.tell("%d requests with %q, over both proxies: ecs answered %d, eks %d.", v.requests, beta[0]+": "+beta[1], v.origins[0].answered, v.origins[1].answered)
	for _, o := range v.origins {
		if o.name == want {
			d.promise(o.answered == v.requests && len(v.stray) == 0, "not every request with the header reached %s", want)
		}
	}
	return nil
}

func (d *demo) halfToEKS(ctx context.Context) error {
	d.title("Half to eks")
	if err := d.shadowctl(ctx, "split", "set", "orders", "eks=50%"); err != nil {
		return err
	}
	_, err := d.expect(ctx, 0.5)
	return err
}

func (d *demo) eksBreaks(ctx context.Context) error {
	const broken = 0.3
	d.title("eks breaks")
	if err := d.eks.SetFaults(origin.Faults{ErrorShare: broken, Status: http.StatusServiceUnavailable}); err != nil {
		return err
	}
	d.say("From now on, eks answers %g%% of its requests with 503.", broken*100)
	v, err := d.expect(ctx, 0.5)
	if err != nil {
		return err
	}
	d.promise(v.origins[1].errors > 0, "no error of eks reached the client")
	d.say("\nThe proxies report it, too (these figures are of the last 10 s):")
	return d.shadowctl(ctx, "get", "services")
}

func (d *demo) rollBack(ctx context.Context) error {
	d.title("Rollback")
	began, before, enter := time.Now(), d.traffic.mark(), monotime.Now()
	if err := d.shadowctl(ctx, "rollback", "orders", "--reason", "5xx on eks"); err != nil {
		return err
	}
	back := d.traffic.mark()
	rev, err := d.rollbackRecord(ctx)
	if err != nil {
		return err
	}
	called := monotime.Now() - time.Since(rev.GetTime().AsTime())
	if _, err := d.watch(ctx, "since Enter", before, began, d.pace); err != nil {
		return err
	}
	d.timeRollback(enter, called, rev.GetFleet().GetAckMs())
	d.promise(rev.GetFleet().GetAcked() == proxies, "%d of %d proxies acknowledged the rollback", rev.GetFleet().GetAcked(), proxies)
	d.promise(rev.GetProof().GetState() == "proven", "the rollback is not proven by the data plane: state %q", rev.GetProof().GetState())
	after, err := d.traffic.between(ctx, back, d.traffic.mark())
	if err != nil {
		return err
	}
	d.expectShare(look(after, d.origins()), 0)
	return d.expectPinned(ctx, "rolled-back", "ecs")
}

// timeRollback says how long it took. The origin's log is on the same clock.
func (d *demo) timeRollback(enter, called time.Duration, ackMs float64) {
	last, _ := d.eks.Last(host)
	after := max(0, inMs(last-called))
	d.ackMs, d.lastMs = &ackMs, &after
	d.tell("The API was called %s after Enter; both proxies had acknowledged %s later. By the log of eks, %s.",
		milliseconds(inMs(called-enter)), milliseconds(ackMs), d.lastWords())
}

func (d *demo) controlPlaneDies(ctx context.Context) error {
	d.title("The control plane is killed, and comes back")
	began, before := time.Now(), d.traffic.mark()
	d.typed(fmt.Sprintf("kill -9 %d        # xds-server", d.Server.PID))
	d.KillServer()
	if err := poll.Pause(ctx, d.pace/2); err != nil {
		return err
	}
	if err := d.shadowctlExits(ctx, exitUnavailable, "get", "services"); err != nil {
		return err
	}
	if err := poll.Pause(ctx, d.pace/2); err != nil {
		return err
	}
	down := time.Since(began)
	d.typed("xds-server …      # as before, on the same data")
	start := time.Now()
	if err := d.RestartServer(ctx); err != nil {
		return err
	}
	ready := time.Since(start)
	if err := d.awaitFleet(ctx, upToDate); err != nil {
		return err
	}
	d.tell("It was gone for %.1f s. It served %s after its start, and had both proxies back after %s.",
		down.Seconds(), milliseconds(inMs(ready)), milliseconds(inMs(time.Since(start))))
	if err := d.shadowctl(ctx, "history", "orders"); err != nil {
		return err
	}
	v, err := d.watch(ctx, "since the kill", before, began, d.pace/2)
	if err == nil {
		d.expectShare(v, 1)
	}
	return err
}
