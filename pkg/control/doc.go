// Package control joins intent, store, translation, fleets and telemetry: every change of intent goes through a [Controller].
//
// A change is checked against everything that is live, made durable by compare-and-swap, then published, then followed until the
// fleet has it. One change is written at a time; what is live is read without waiting for it.
//
// A rollback is the exception: it changes what is live and is published before anything is written, and a change that was being
// written meanwhile is published with the rollback on top. It is recorded in parallel, and its answer says whether that happened.
package control
