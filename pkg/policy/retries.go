package policy

import (
	"fmt"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// RetryOnStatusCodes is the retry condition that goes with a list of status codes.
const RetryOnStatusCodes = "retriable-status-codes"

// NoRetries is the retry condition, alone, of a service that wants none.
const NoRetries = "none"

// safeRetries is what a service has that does not speak of retries: the request has not reached the application, so that it may be sent
// again whatever its method. Endpoints that come and go make such tries, and another endpoint takes them.
func safeRetries() *Retries {
	return &Retries{On: []string{"connect-failure", "refused-stream"}, Attempts: 3}
}

// Answered says whether tries that reached the application, or reached one origin, may be made again as well. A nil receiver makes none.
func (r *Retries) Answered() bool {
	return r != nil && (r.OtherOrigin != nil || slices.ContainsFunc(r.On, func(on string) bool { return on != "connect-failure" && on != "refused-stream" }))
}

// RetryConditions lists what a retry may answer to.
func RetryConditions() []string {
	return []string{"connect-failure", "refused-stream", "reset", "gateway-error", "5xx", RetryOnStatusCodes}
}

func (p *problems) retries(d *crossfadev1.Retries, request time.Duration, origins []*crossfadev1.Origin) *Retries {
	if d == nil {
		return safeRetries()
	}
	other := p.otherOrigin(d.GetOtherOrigin(), origins)
	r := &Retries{OtherOrigin: other}
	switch none := slices.Equal(d.GetOn(), []string{NoRetries}) && d.GetAttempts() == 0 && len(d.GetStatusCodes()) == 0; {
	case none && d.GetPerTryTimeout() == nil && d.GetOtherOrigin() == nil:
		return nil
	case none && d.GetOtherOrigin() != nil:
	case len(d.GetOn()) == 0 && d.GetOtherOrigin() != nil:
		r.On = safeRetries().On
		r.Attempts = p.number("retries.attempts", d.GetAttempts(), safeRetries().Attempts, 1, MaxRetryAttempts)
	default:
		r.On, r.Attempts = p.retryOn(d.GetOn()), p.number("retries.attempts", d.GetAttempts(), 1, 1, MaxRetryAttempts)
	}
	r.PerTryTimeout = p.duration("retries.perTryTimeout", d.GetPerTryTimeout(), durationRule{})
	if request > 0 && r.PerTryTimeout > request {
		p.add("retries.perTryTimeout", "per_try_above_request", r.PerTryTimeout.String(), fmt.Sprintf("one try cannot last longer than the whole request, %s (timeouts.request)", request), "lower it or raise timeouts.request")
	}
	r.StatusCodes = p.retryCodes(d.GetStatusCodes(), slices.Contains(d.GetOn(), RetryOnStatusCodes))
	return r
}

func (p *problems) retryOn(written []string) []string {
	if len(written) == 0 {
		p.add("retries.on", "retry_on_missing", "", "it is not said when to retry: one or more of "+oneOf(RetryConditions())+" are needed", "connect-failure and refused-stream are safe for every method")
	}
	if p.count("retries.on", len(written), len(RetryConditions()), "conditions") {
		return nil
	}
	for i, w := range written {
		switch {
		case w == NoRetries:
			p.add(at("retries.on", i), "retry_none", w, "no retries means this alone, without other conditions, attempts, perTryTimeout or statusCodes", "write retries: {on: [none]}")
		case !slices.Contains(RetryConditions(), w):
			p.add(at("retries.on", i), "retry_on_unknown", w, "must be "+oneOf(RetryConditions()), "")
		case slices.Index(written, w) < i:
			p.add(at("retries.on", i), "retry_on_duplicate", w, "is listed twice", "remove one of them")
		}
	}
	return slices.Sorted(slices.Values(written))
}

func (p *problems) retryCodes(codes []int32, wanted bool) []int {
	const field = "retries.statusCodes"
	switch {
	case wanted && len(codes) == 0:
		p.add(field, "retry_codes_missing", "", fmt.Sprintf("%q needs the status codes to retry on", RetryOnStatusCodes), "write for example statusCodes: [503]")
	case !wanted && len(codes) > 0:
		p.add(field, "retry_codes_unused", fmt.Sprint(codes), fmt.Sprintf("these have no effect without %q in retries.on", RetryOnStatusCodes), "add it, or remove the codes")
	}
	if p.count(field, len(codes), MaxStatusCodes, "status codes") {
		return nil
	}
	var out []int
	for i, c := range codes {
		switch {
		case c < 400 || c > 599:
			p.add(at(field, i), "status_invalid", fmt.Sprint(c), "must be a status code of 400 to 599", "")
		case slices.Index(codes, c) < i:
			p.add(at(field, i), "status_duplicate", fmt.Sprint(c), "is listed twice", "remove one of them")
		}
		out = append(out, int(c))
	}
	slices.Sort(out)
	return out
}
