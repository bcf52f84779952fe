package policy

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// durationRule is what is allowed for one duration.
type durationRule struct {
	def  time.Duration // where it is absent
	min  time.Duration // at least this; 0 allows 0s, which then means none
	unit time.Duration // a whole number of these; 0: milliseconds
}

// duration returns d as a Go duration, after holding it against the rule.
func (p *problems) duration(field string, d *durationpb.Duration, rule durationRule) time.Duration {
	if d == nil {
		return rule.def
	}
	unit := rule.unit
	if unit == 0 {
		unit = time.Millisecond
	}
	v, invalid := d.AsDuration(), d.CheckValid() != nil
	switch {
	case v < 0:
		p.add(field, "duration_negative", v.String(), "a duration cannot be negative", "")
	case v > MaxDuration:
		p.add(field, "duration_too_long", v.String(), "the longest duration allowed is one year (8760h)", "")
	case invalid:
		p.add(field, "duration_invalid", "", "is not a duration: seconds and nanoseconds do not go together", "")
	case v < rule.min:
		p.add(field, "duration_too_short", v.String(), fmt.Sprintf("must be at least %s", rule.min), defaultHint(rule.def))
	case v%unit != 0:
		p.add(field, "duration_too_fine", v.String(), fmt.Sprintf("must be a whole number of %s", unitName(unit)), "")
	default:
		return v
	}
	return rule.def
}

func defaultHint(def time.Duration) string {
	if def == 0 {
		return ""
	}
	return fmt.Sprintf("leave it out for the default of %s", def)
}

func unitName(unit time.Duration) string {
	if unit == time.Second {
		return "seconds"
	}
	return "milliseconds"
}
