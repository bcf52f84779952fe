// Package comparator asks both origins again, beside the path of live requests, so that nothing of an experiment can hurt a live request or
// the control plane: it is a process of its own that may be slow, frozen or killed.
//
// A copy of a request is read to its end and answered 204 (intake). Then it is decided whether it is asked ([gate]: learning, exclusions, age,
// identities, the cap). Those that are go to control and candidate at the same time, through the experiment listener of the proxy that made
// the copy (legs), and the answers to pkg/shadow (judge). Every copy is counted once, in the tally of its run. The server says which runs
// there are and gets the counts (link); without it, asking ends after the lease.
//
// Who listens at the address of a proxy need not be that proxy. So every connection carries a question first that no origin hears (proof), and
// answers without the proxy's name are dropped. That keeps mistakes from harm, not somebody who wants to: he can learn what a proxy is called.
//
// Everything is bounded: connections, copies in flight, requests to one origin through one proxy, and the bytes of all bodies together
// ([budget]). No content of traffic goes into logs, errors or messages to the server but as shapes.
package comparator
