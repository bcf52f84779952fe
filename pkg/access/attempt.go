package access

import "time"

// Attempt is what was refused to one caller within an hour: one method on one service.
type Attempt struct {
	ID      int64     `json:"id"` // from 1, in the order of First
	Who     string    `json:"who"`
	Method  string    `json:"method"`            // short
	Service string    `json:"service,omitempty"` // see [Refusal]
	Role    string    `json:"role,omitempty"`    // that would have done
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   int64     `json:"count"`
}
