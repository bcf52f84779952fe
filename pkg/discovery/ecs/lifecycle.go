package ecs

import "github.com/crossfade-proxy/crossfade/pkg/discovery"

// The statuses of a task. ECS writes more words; those are not understood.
const (
	provisioning   = "PROVISIONING"   // its network interface is made
	pending        = "PENDING"        // its machine is sought, its images are pulled
	activating     = "ACTIVATING"     // its containers run; it is registered with load balancers and in Cloud Map
	running        = "RUNNING"        //
	deactivating   = "DEACTIVATING"   // its containers run; it is taken out of load balancers
	stopping       = "STOPPING"       // its containers have got SIGTERM, and have stopTimeout to end
	deprovisioning = "DEPROVISIONING" // its containers have ended; its network interface is taken down
	stopped        = "STOPPED"        //
	deleted        = "DELETED"        // on the way to be forgotten

	unhealthy = "UNHEALTHY"
)

// presence is what a task is to an origin. Of two with the same address, the one that is first here counts.
type presence int

const (
	absent     presence = iota // no endpoint: not yet, or never was one
	ready                      // takes requests
	ill                        // ECS says that it is not healthy, and is going to stop it if it is of a service
	leaving                    // was told to stop, or has stopped
	unreadable                 // ECS uses a word that we do not know
)

// presence says what a task is to an origin, by what ECS says of it:
//
//	lastStatus                            desiredStatus  health     it is
//	PROVISIONING, PENDING, ACTIVATING     any            any        no endpoint yet: ECS itself sends it no requests before RUNNING
//	RUNNING                               RUNNING        HEALTHY    ready
//	RUNNING                               RUNNING        UNKNOWN    ready: it has no health check, or it has not spoken yet
//	RUNNING                               RUNNING        UNHEALTHY  draining, unless all of the target are; see [endpointsOf]
//	RUNNING                               STOPPED        any        draining: it is going to be told to stop
//	DEACTIVATING, STOPPING                any            any        draining: it may still answer what it has
//	DEPROVISIONING                        any            any        draining: it has ended, and looks in between were missed
//	STOPPED, DELETED                      any            any        draining for some looks, so that its end is announced; then forgotten
//	another word                          any            any        left out, with a word in the log
//
// What has never been RUNNING never drains. The health is the worse one of the task and of the container that listens: UNHEALTHY, if
// either is. A container that has stopped while its task runs drains too.
func (t task) presence(c *container) presence {
	switch t.last {
	case provisioning, pending, activating:
		return absent
	case running:
		switch {
		case t.desired == stopped, c != nil && c.last == stopped:
			return leaving
		case t.health == unhealthy, c != nil && c.health == unhealthy:
			return ill
		}
		return ready
	case deactivating, stopping, deprovisioning, stopped, deleted:
		if t.ran {
			return leaving
		}
		return absent
	}
	return unreadable
}

// over says that a task has ended.
func (t task) over() bool { return t.last == stopped || t.last == deleted }

// settled says that nothing is expected to happen to a task.
func (t task) settled() bool {
	return t.last == running && t.desired == running && t.health != unhealthy
}

// word is what is told of its health: ECS's own word for why it is in the state that it is.
func (t task) word(p presence) string {
	switch {
	case p == ill:
		return unhealthy
	case p == leaving && t.last == running && t.desired == stopped:
		return "desired " + stopped
	case p == leaving && t.last == running:
		return "container " + stopped
	case p == leaving:
		return t.last
	case t.health == "UNKNOWN":
		return ""
	}
	return t.health
}

func stateOf(p presence) discovery.Readiness {
	if p == ready {
		return discovery.Ready
	}
	return discovery.Draining
}
