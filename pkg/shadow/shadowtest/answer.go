package shadowtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Reply is what an origin answers.
type Reply struct {
	Failure           string // empty if it answers
	Status            int
	Headers, Trailers map[string][]string // in canonical form
	Body              []byte
}

// Answer draws an answer of an origin to a request: each call is a new one, with noise of its own.
func (w *World) Answer(r *rand.Rand, q Request, candidate bool) Reply {
	e := w.endpointOf(q)
	d := newDocument(w, e, q.ID)
	for _, s := range w.noise {
		if s.endpoint == e && r.Float64() < share(s.rate) {
			d.change(s, "noise")
		}
	}
	if candidate {
		d.shuffle(r) // as another library writes objects
		for i, s := range w.plants {
			if s.endpoint == e && w.differs(r, q, i, s.rate) {
				d.change(s, "other")
			}
		}
	}
	return d.reply()
}

// differs says whether a planted difference shows in an answer.
func (w *World) differs(r *rand.Rand, q Request, nth int, rate float64) bool {
	if w.opts.PerAnswer {
		return r.Float64() < rate
	}
	return rand.New(rand.NewPCG(w.seed^q.ID, uint64(nth))).Float64() < rate
}

func (w *World) endpointOf(q Request) int {
	for e := range w.opts.Endpoints + others {
		if w.path(e, q.ID) == q.Path {
			return e
		}
	}
	return 0
}

// document is an answer in the making.
type document struct {
	out    Reply
	form   int // -1 for JSON
	json   []member
	text   string
	proto  protoFields
	broken bool
	empty  bool
}

type member struct{ key, value string }

func newDocument(w *World, e int, id uint64) *document {
	d := &document{form: e - w.opts.Endpoints, text: "page " + strconv.FormatUint(id, 10)}
	d.out = Reply{Status: 200, Headers: map[string][]string{"Cache-Control": {"no-store"}}, Trailers: map[string][]string{}}
	for i := range fields {
		d.out.Headers[headerName(i)] = []string{fmt.Sprintf("v%d", id%7+uint64(i))}
	}
	switch d.form {
	case textEndpoint:
		d.media("text/html; charset=utf-8")
	case binaryEndpoint:
		d.media("image/png")
	case grpcEndpoint:
		d.media("application/grpc")
		d.out.Trailers["Grpc-Status"] = []string{"0"}
		d.proto = newProtoFields(id)
	default:
		d.form = -1
		d.media("application/json")
		d.json = jsonMembers(id)
	}
	return d
}

func (d *document) media(m string) { d.out.Headers["Content-Type"] = []string{m} }

func headerName(i int) string { return "X-H" + string(rune('a'+i)) }

// jsonMembers are the members of a document: strings, numbers and arrays, and some that are only there to be compared.
func jsonMembers(id uint64) []member {
	out := []member{{"id", strconv.FormatUint(id, 10)}, {"active", "true"}, {"owner", `{"name":"Müller \u0026 Söhne","tags":["a","b"],"since":null}`}}
	for i := range uint64(fields) {
		out = append(out,
			member{field("f", int(i)), fmt.Sprintf(`"value %d"`, id%1000+i)},
			member{field("n", int(i)), fmt.Sprintf("%d.5", id%100+i)},
			member{field("a", int(i)), fmt.Sprintf(`[{"k":%d},{"k":%d},{"k":%d}]`, id%10, id%10+20+i, id%10+40)})
	}
	return out
}

func field(kind string, i int) string { return kind + string(rune('a'+i)) }

func (d *document) shuffle(r *rand.Rand) {
	r.Shuffle(len(d.json), func(i, j int) { d.json[i], d.json[j] = d.json[j], d.json[i] })
}

// path is where a spot shows.
func (s spot) path() string {
	switch s.kind {
	case "status", "failure":
		return s.kind
	case "body", "invalid", "text", "binary":
		return "body"
	case "content_type":
		return "header:content-type"
	case "cookie":
		return "header:set-cookie"
	case "header_missing", "header_changed":
		return "header:" + strings.ToLower(headerName(s.field))
	case "header_added":
		return "header:x-new-" + string(rune('a'+s.field))
	case "trailer":
		return "trailer:x-t" + string(rune('a'+s.field))
	case "grpc_status":
		return "trailer:grpc-status"
	case "json_missing", "json_type", "json_value":
		return "$." + field("f", s.field)
	case "json_added":
		return "$." + field("x", s.field)
	case "json_number":
		return "$." + field("n", s.field)
	case "json_length", "json_order":
		return "$." + field("a", s.field)
	case "proto_value", "proto_missing":
		return "$." + protoName(s.field)
	}
	return fmt.Sprintf("$.#%d", 100+s.field)
}

// change makes an answer differ. What says how, so that noise and differences are not the same.
func (d *document) change(s spot, what string) {
	h := d.out.Headers
	switch s.kind {
	case "status":
		d.out.Status = 503
	case "failure":
		d.out.Failure = "reset"
	case "content_type":
		d.media("application/vnd.api+json")
	case "cookie":
		h["Set-Cookie"] = []string{"session=" + what + "; Secure"}
	case "body":
		d.empty = true
	case "invalid":
		d.broken = true
	case "header_missing":
		delete(h, headerName(s.field))
	case "header_changed":
		h[headerName(s.field)] = []string{what}
	case "header_added":
		h["X-New-"+strings.ToUpper(string(rune('a'+s.field)))] = []string{what}
	case "trailer":
		d.out.Trailers["X-T"+string(rune('a'+s.field))] = []string{what}
	case "grpc_status":
		d.out.Trailers["Grpc-Status"] = []string{"13"}
	case "text":
		d.text += what
	case "binary":
		d.text += "\x00" + what
	case "proto_value", "proto_missing", "proto_unknown":
		d.proto.change(s, what)
	default:
		d.changeJSON(s, what)
	}
}

func (d *document) changeJSON(s spot, what string) {
	key := strings.TrimPrefix(s.path(), "$.")
	for i, m := range d.json {
		if m.key != key {
			continue
		}
		switch s.kind {
		case "json_missing":
			d.json = append(d.json[:i:i], d.json[i+1:]...)
		case "json_type":
			d.json[i].value = "7"
		case "json_value":
			d.json[i].value = `"` + what + `"`
		case "json_number":
			d.json[i].value = strconv.Itoa(-1 - len(what))
		case "json_length":
			d.json[i].value = m.value[:strings.LastIndexByte(m.value, ',')] + "]"
		case "json_order":
			parts := strings.Split(strings.Trim(m.value, "[]"), ",")
			if what == "noise" {
				parts[0], parts[1] = parts[1], parts[0]
			} else {
				parts[0], parts[2] = parts[2], parts[0]
			}
			d.json[i].value = "[" + strings.Join(parts, ",") + "]"
		}
		return
	}
	if s.kind == "json_added" {
		d.json = append(d.json, member{key, `"` + what + `"`})
	}
}

func (d *document) reply() Reply {
	switch {
	case d.out.Failure != "" || d.empty:
	case d.form == grpcEndpoint:
		message := d.proto.encode()
		d.out.Body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	case d.form == -1:
		d.out.Body = d.encodeJSON()
	case d.form == binaryEndpoint:
		d.out.Body = []byte("\x89PNG\xff" + d.text)
	default:
		d.out.Body = []byte("<html>" + d.text)
	}
	return d.out
}

// encodeJSON writes the document. One that cannot be read is told apart by its bytes alone, whose order then counts: it is the same for both origins,
// or the candidate would differ where nothing was planted.
func (d *document) encodeJSON() []byte {
	if d.broken {
		slices.SortFunc(d.json, func(a, b member) int { return strings.Compare(a.key, b.key) })
	}
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range d.json {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.key, m.value)
	}
	if !d.broken {
		b.WriteByte('}')
	}
	return []byte(b.String())
}
