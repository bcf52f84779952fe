package main

import (
	"encoding/json"
	"strings"
)

// result is what the last line says.
type result struct {
	requests     uint64   // sent by the client
	failed       uint64   // of those: no answer, or an error that no origin gave
	originErrors uint64   // of those: errors that an origin answered
	ackMs        *float64 // the last proxy's acknowledgement of the rollback, after the API call; nil: it did not come to that
	lastMs       *float64 // the last request at the old origin, after the API call; 0 if none came after it
	told         bool     // the story came to its end
	why          []string // what was not as promised
}

// broke notes what was not as promised.
func (r *result) broke(why string) { r.why = append(r.why, why) }

// line is the last line on standard output.
func (r *result) line() string {
	out := struct {
		Demo          string   `json:"demo"`
		Requests      uint64   `json:"requests"`
		Failed        uint64   `json:"failed"`
		OriginErrors  uint64   `json:"originErrors"`
		RollbackAckMs *float64 `json:"rollbackAckMs"`
		LastRequestMs *float64 `json:"lastRequestMs"`
		Why           string   `json:"why,omitempty"`
	}{"ok", r.requests, r.failed, r.originErrors, r.ackMs, r.lastMs, strings.Join(r.why, "; ")}
	if len(r.why) > 0 {
		out.Demo = "failed"
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return string(b)
}
