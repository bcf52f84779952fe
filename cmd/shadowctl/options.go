package main

import (
	"crypto/rand"
	"os"
	"os/user"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// options are what goes with every change. Without a key of the user's it gets one of its own, so that it can be sent twice.
func (a *app) options() *crossfadev1.ChangeOptions {
	key := a.idempotencyKey
	if key == "" {
		key = "shadowctl-" + rand.Text()
	}
	return &crossfadev1.ChangeOptions{
		Reason: a.reason, ExpectRevision: a.expectRevision, IdempotencyKey: key, Wait: a.waitFor(),
		Timeout: durationpb.New(a.timeout.Round(time.Millisecond)), Actor: a.actor(),
	}
}

func (a *app) waitFor() crossfadev1.Wait {
	switch a.wait {
	case "none":
		return crossfadev1.Wait_WAIT_NONE
	case "acked":
		return crossfadev1.Wait_WAIT_ACKED
	case "proven":
		return crossfadev1.Wait_WAIT_PROVEN
	default:
		return crossfadev1.Wait_WAIT_UNSPECIFIED
	}
}

// actor is who asks, as far as this machine knows. The history marks it as not verified.
func (a *app) actor() string {
	name := a.env("USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	if host, err := os.Hostname(); err == nil && name != "" {
		return name + "@" + host
	}
	return name
}
