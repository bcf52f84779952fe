package main

import (
	"net/url"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

const redacted = "(hidden)"

// redact returns a copy of a message without what a support bundle must not have: the values of headers, cookies and query parameters that
// documents ask for, which may be tokens, and the paths of URLs that are called, which may be too. Names stay.
func redact(m proto.Message) proto.Message {
	out := proto.Clone(m)
	redactIn(out.ProtoReflect())
	return out
}

func redactIn(m protoreflect.Message) {
	switch v := m.Interface().(type) {
	case *crossfadev1.ValueMatch:
		redactMatch(v)
	case *crossfadev1.RolloutHook:
		v.Url = redactURL(v.GetUrl())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { redactIn(v.Message()); return true })
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				redactIn(v.List().Get(i).Message())
			}
		default:
			redactIn(v.Message())
		}
		return true
	})
}

// redactMatch hides the value of a condition, of whichever kind.
func redactMatch(m *crossfadev1.ValueMatch) {
	r := m.ProtoReflect()
	condition := r.WhichOneof(r.Descriptor().Oneofs().ByName("condition"))
	if condition != nil && condition.Kind() == protoreflect.StringKind {
		r.Set(condition, protoreflect.ValueOfString(redacted))
	}
}

// redactURL keeps whom a URL calls.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return redacted
	}
	return u.Scheme + "://" + u.Host + "/" + redacted
}
