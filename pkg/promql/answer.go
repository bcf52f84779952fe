package promql

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"unicode"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// maxShown is how much of a foreign text is shown, in bytes.
const maxShown = 200

// number makes one number of an answer.
func (s *server) number(answer model.Value, warnings v1.Warnings) (value float64, ok bool, why string, err error) {
	var sample model.SampleValue
	switch a := answer.(type) {
	case *model.Scalar:
		sample = a.Value
	case model.Vector:
		switch {
		case len(a) == 0:
			return 0, false, warned("the query has no data", warnings), nil
		case len(a) > 1:
			return 0, false, warned(fmt.Sprintf("the query has %d series, and a guard takes one: aggregate them, for example with sum()", len(a)), warnings), nil
		case a[0] == nil:
			return 0, false, "", s.fail("prometheus_answer", "does not answer as a Prometheus does: its one series is null", "look at url in the settings")
		case a[0].Histogram != nil:
			return 0, false, "", s.fail("query_histogram", "answers with a histogram, and a guard takes a number", "ask for histogram_quantile(…) or histogram_fraction(…)")
		}
		sample = a[0].Value
	default:
		kind := "nothing"
		if answer != nil {
			kind = "a " + answer.Type().String()
		}
		return 0, false, "", s.fail("query_kind", "answers with "+kind+", and a guard takes a scalar or a vector of one element", "write for example rate(…[1m]) in place of …[1m]")
	}
	value = float64(sample)
	switch {
	case math.IsNaN(value):
		return 0, false, warned("the query has no number (NaN): a share of no requests, for example", warnings), nil
	case math.IsInf(value, 0):
		return 0, false, warned(fmt.Sprintf("the query has no number (%v): something was divided by zero", sample), warnings), nil
	}
	return value, true, warned("", warnings), nil
}

// warned adds what the server warns of.
func warned(why string, warnings v1.Warnings) string {
	if len(warnings) == 0 {
		return why
	}
	if why != "" {
		why += "; "
	}
	return why + "Prometheus warns: " + printable(strings.Join(warnings, "; "))
}

// explain says why there was no answer. The token is not shown, even if the server repeats it.
func (s *server) explain(err error, token string) error {
	show := func(text string) string {
		if token != "" {
			text = strings.ReplaceAll(text, token, "…")
		}
		return printable(text)
	}
	var answered *v1.Error
	var redirect redirected
	switch {
	case errors.As(err, &redirect):
		return s.fail("prometheus_redirect", "answered "+redirect.Error()+", and redirects are not followed", "put the URL that it redirects to into the settings")
	case errors.Is(err, errDenied) && s.BearerTokenFile == "":
		return s.fail("prometheus_denied", "answered "+errDenied.Error()+": it wants a token", "name its file in the settings (bearerTokenFile)")
	case errors.Is(err, errDenied):
		return s.fail("prometheus_denied", "answered "+errDenied.Error()+": it does not take the token", "look at bearerTokenFile in the settings")
	case errors.Is(err, errLong):
		return s.fail("prometheus_answer", "cannot be read: "+errLong.Error(), "aggregate the series, for example with sum()")
	case errors.As(err, &answered) && answered.Type == v1.ErrBadData:
		return s.fail("query_refused", "does not take the query: "+show(answered.Msg), "try the query in its own interface")
	case errors.As(err, &answered) && answered.Type == v1.ErrBadResponse:
		return s.fail("prometheus_answer", "does not answer as a Prometheus does: "+show(answered.Msg), "look at the query, and at url in the settings")
	case errors.As(err, &answered):
		return s.fail("prometheus_failed", "could not answer: "+show(answered.Msg+detail(answered.Detail)), "")
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // what was asked, and where, is known
	}
	return s.fail("prometheus_unreachable", "cannot be asked: "+show(err.Error()), "")
}

// detail is the sentence in the body of a failure: that of Prometheus, or what somebody between wrote.
func detail(body string) string {
	var answer struct{ Error string }
	if json.Unmarshal([]byte(body), &answer) == nil && answer.Error != "" {
		body = answer.Error
	}
	if body == "" {
		return ""
	}
	return ": " + body
}

func (s *server) fail(code, message, next string) error {
	return &policy.Error{Kind: policy.Unavailable, Code: code, Message: fmt.Sprintf("Prometheus %s %s", s.Name, message), Next: next}
}

// printable makes one short line of a text: what cannot be printed becomes a space, and spaces become one.
func printable(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	clean = strings.Join(strings.Fields(clean), " ")
	if len(clean) <= maxShown {
		return clean
	}
	return strings.ToValidUTF8(clean[:maxShown-len("…")], "") + "…"
}
