package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// sumUp holds the whole story against the logs, and prints the figures. Without -keep the client stops first.
func (d *demo) sumUp(ctx context.Context) error {
	if !d.keep {
		d.traffic.stop()
	}
	requests, err := d.traffic.between(ctx, make(mark, proxies), d.traffic.mark())
	if err != nil {
		return err
	}
	v := look(append(requests, d.probed...), d.origins())
	d.count()
	d.told = true
	_, _, _, failures := d.traffic.totals()
	style := green
	if d.failed > 0 {
		style = red
	}
	d.say("\n%s", d.paint(fmt.Sprintf("In %.0f s", time.Since(d.began).Seconds()), bold))
	d.say("  requests of the client:  %s", thousands(d.requests))
	d.say("  requests failed:         %s", d.paint(thousands(d.failed), style))
	for _, why := range slices.Sorted(maps.Keys(failures)) {
		d.say("    %s: %s", why, thousands(failures[why]))
	}
	d.say("  errors of eks itself:    %s (503, while it was broken; not counted above)", thousands(d.originErrors))
	d.say("  rollback acknowledged:   %s after the call", milliseconds(*d.ackMs))
	d.say("  last request at eks:     %s after the call", milliseconds(*d.lastMs))
	if len(v.stray) == 0 {
		d.say("  By the logs of the origins, each request reached exactly one of them, once.")
	}
	d.promise(d.failed == 0, "%s failed", plural(d.failed, "request"))
	d.promise(len(v.stray) == 0, "the logs of the origins do not have each request exactly once: %s", some(v.stray))
	return nil
}

// lastWords says when the old origin got its last request.
func (r *result) lastWords() string {
	if *r.lastMs == 0 {
		return "it got no request after the call"
	}
	return "its last request came " + milliseconds(*r.lastMs) + " after the call"
}

// stayUp says what to try, and waits for the end.
func (d *demo) stayUp(ctx context.Context) {
	toggled := make(chan os.Signal, 1)
	signal.Notify(toggled, syscall.SIGUSR1)
	defer signal.Stop(toggled)
	broken := origin.Faults{}
	_ = d.eks.SetFaults(broken) // these are valid
	d.invite()
	for {
		select {
		case <-ctx.Done():
			d.say("\nEnding: client, proxies, control plane, origins.")
			return
		case <-toggled:
			if broken.ErrorShare = 0.3 - broken.ErrorShare; broken.ErrorShare > 0 {
				d.say("eks answers 30%% of its requests with 503.")
			} else {
				d.say("eks is sound again.")
			}
			_ = d.eks.SetFaults(broken)
		}
	}
}

// invite prints commands that can be pasted into another terminal.
func (d *demo) invite() {
	bin, err := filepath.Abs(d.bin)
	if err != nil {
		bin = d.bin
	}
	at := d.addresses()
	d.tell("It stays up, the client sends on (for two hours), and eks is sound again. Paste into another terminal:")
	d.say(`
  export PATH=%q:$PATH CROSSFADE_SERVER=%s
  cd %s

  # look, move, pin
  shadowctl get services
  shadowctl split set orders eks=25%%
  shadowctl pin add orders beta --origin eks --header x-beta=1
  curl -i -H 'Host: %s' http://%s/
  curl -i -H 'Host: %s' -H 'x-beta: 1' http://%s/
  shadowctl route explain --host %s --header x-beta=1 /

  # every request, as a proxy saw it
  tail -n 3 proxy-1*.log

  # eks breaks (the same again: it is sound); roll back; who did what
  kill -USR1 %d
  shadowctl rollback orders --reason "trying it out"
  shadowctl history orders
  shadowctl fleet
  shadowctl undo orders

  # without a control plane: what to run at each proxy by hand
  shadowctl get service orders -o yaml > live.yaml
  kill -9 %d
  shadowctl break-glass orders -f live.yaml --admin %s
  shadowctl break-glass orders -f live.yaml --admin %s

  # the control plane again, in a third terminal
  %s
`,
		bin, d.Server.API, d.dir, host, at[0], host, at[1], host, os.Getpid(), d.Server.PID,
		d.Proxies[0].Admin.Address, d.Proxies[1].Admin.Address, quoted(d.ServerCommand()))
	d.say("Ctrl-C here ends it all.")
}
