package manifest

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// kinds are those of documents, in the order in which people meet them.
func kinds() []string {
	return []string{policy.KindService, policy.KindFleet, policy.KindMirror, policy.KindRollout}
}

// newDocument returns an empty document of a kind, and its object; nil if there is no such kind.
func newDocument(kind string) (*crossfadev1.Document, proto.Message) {
	switch kind {
	case policy.KindService:
		m := &crossfadev1.Service{}
		return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: m}}, m
	case policy.KindFleet:
		m := &crossfadev1.Fleet{}
		return &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: m}}, m
	case policy.KindMirror:
		m := &crossfadev1.Mirror{}
		return &crossfadev1.Document{Object: &crossfadev1.Document_Mirror{Mirror: m}}, m
	case policy.KindRollout:
		m := &crossfadev1.Rollout{}
		return &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: m}}, m
	}
	return nil, nil
}

// Object returns what a document holds: a *Service, a *Fleet, a *Mirror, a *Rollout, or nil.
func Object(doc *crossfadev1.Document) proto.Message {
	switch o := doc.GetObject().(type) {
	case *crossfadev1.Document_Service:
		return o.Service
	case *crossfadev1.Document_Fleet:
		return o.Fleet
	case *crossfadev1.Document_Mirror:
		return o.Mirror
	case *crossfadev1.Document_Rollout:
		return o.Rollout
	}
	return nil
}

// KindOf returns the kind of a document, empty if it holds nothing.
func KindOf(doc *crossfadev1.Document) string {
	switch doc.GetObject().(type) {
	case *crossfadev1.Document_Service:
		return policy.KindService
	case *crossfadev1.Document_Fleet:
		return policy.KindFleet
	case *crossfadev1.Document_Mirror:
		return policy.KindMirror
	case *crossfadev1.Document_Rollout:
		return policy.KindRollout
	}
	return ""
}

// NameOf returns the name of the object in a document.
func NameOf(doc *crossfadev1.Document) string {
	named, _ := Object(doc).(interface{ GetName() string })
	if named == nil {
		return ""
	}
	return named.GetName()
}

// hidden says that a field has no text: only the server that wrote it can read it.
func hidden(f protoreflect.FieldDescriptor) bool {
	return f.FullName() == "crossfade.v1.RolloutRun.walk"
}
