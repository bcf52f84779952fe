package comparator

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

var errBudget = errors.New("no memory for a body")

// readUpTo reads a body: all of it, or the first most bytes if it is longer (over). Declared is its length if it is known, else -1; of the
// memory, prepaid bytes are paid for already.
func readUpTo(body io.Reader, most int, declared int64, cost *loan, prepaid int) (read []byte, over bool, err error) {
	size := 1 << 10
	if declared >= 0 {
		size = int(min(declared, int64(most))) + 1
	}
	buf := make([]byte, 0, min(size, 64<<10, most+1))
	if !payFor(cost, cap(buf), &prepaid) {
		return nil, false, errBudget
	}
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > most:
			return buf[:most], true, nil
		case errors.Is(err, io.EOF):
			return buf, false, nil
		case err != nil:
			return buf, false, err
		}
		if len(buf) < cap(buf) {
			continue
		}
		bigger := min(2*cap(buf), most+1)
		if !payFor(cost, bigger-cap(buf), &prepaid) {
			return nil, false, errBudget
		}
		buf = append(make([]byte, 0, bigger), buf...)
	}
}

func payFor(cost *loan, bytes int, prepaid *int) bool {
	used := min(*prepaid, bytes)
	*prepaid -= used
	return bytes == used || cost.grow(int64(bytes-used))
}

// failedHeader is on answers that are the proxy's own: the experiment listener puts Envoy's response flags there, and origins cannot set it. So
// an origin's 503 is told from Envoy's for an origin that refused the connection.
const failedHeader = "X-Cf-Failed"

// failures are what the flags mean. UF, UH: nobody answers at the origin. UC, UR, LR, DC: the connection ended.
var failures = map[string]shadow.Failure{
	"UF": shadow.Refused, "UH": shadow.Refused, "UC": shadow.Reset, "UR": shadow.Reset, "LR": shadow.Reset, "DR": shadow.Reset,
	"UT": shadow.Timeout, "DT": shadow.Timeout, "SI": shadow.Timeout, "UMSDR": shadow.Timeout, "UPE": shadow.Protocol,
}

// ownReply says what an answer of the proxy's own means: a failure of the origin, or why the copy is dropped. It is neither for answers of origins.
func ownReply(h http.Header) (failure shadow.Failure, dropped string) {
	flags := first(h[failedHeader])
	if flags == "" {
		return "", ""
	}
	for flag := range strings.SplitSeq(flags, ",") {
		if f := failures[flag]; f != "" {
			return f, ""
		}
		if flag == "UO" {
			return "", dropBusy // the proxy's own limit
		}
	}
	return "", dropProxy // NC, NR: it does not know the origin (any more); and whatever else it refuses itself
}

// reply is an answer whose body is as it came.
type reply struct {
	shadow.Answer
	encoding string // to be undone
}

// decode undoes the encoding of the body. That may take much more memory, so that it is done only by those who compare.
func (r *reply) decode(most int, cost *loan) (dropped string) {
	if r.encoding == "" || len(r.Body) == 0 {
		return ""
	}
	room := min(most+1, max(64<<10, len(r.Body)*inflateRatio))
	if !cost.grow(int64(room)) {
		return dropBudget
	}
	before := len(r.Body)
	defer func() { cost.shrink(int64(max(room-max(len(r.Body)-before, 0), 0))) }()
	body, over, err := shadow.Decode(r.encoding, r.Body, shadow.DecodeLimits{Bytes: most, Ratio: inflateRatio})
	r.encoding = ""
	cutOff := r.OverCap
	if errors.Is(err, shadow.ErrEncoding) || errors.Is(err, shadow.ErrCorrupt) && !cutOff {
		r.Encoded = true
		return ""
	}
	r.Body, r.Length = body, int64(len(body))
	if r.OverCap = over || cutOff; r.OverCap {
		r.Length = -1 // that of the encoded one says nothing
	}
	return ""
}

// encodingOf is what has to be undone.
func encodingOf(h http.Header) string {
	e := strings.Join(h["Content-Encoding"], ",")
	if strings.EqualFold(strings.TrimSpace(e), "identity") {
		return ""
	}
	return e
}
