// Package aws is what sources of endpoints on AWS have in common: how they reach AWS, how they say what went wrong, and how often they
// ask.
//
// Who we are comes from where AWS's own tools take it: the environment, the shared files and profile, the role of the task, pod or
// machine. Calls are retried by the SDK's standard rules, few times and shortly, for every source asks again by itself. The adaptive
// rules are not used: they slow down all calls of a client when one is throttled, and keep that from us, where a source slows down the
// one target and says so.
package aws
