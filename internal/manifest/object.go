package manifest

import (
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Object returns what a document holds: a *Service, a *Fleet, or nil.
func Object(doc *crossfadev1.Document) proto.Message {
	switch o := doc.GetObject().(type) {
	case *crossfadev1.Document_Service:
		return o.Service
	case *crossfadev1.Document_Fleet:
		return o.Fleet
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
	}
	return ""
}

// NameOf returns the name of the object in a document.
func NameOf(doc *crossfadev1.Document) string {
	if s := doc.GetService(); s != nil {
		return s.GetName()
	}
	return doc.GetFleet().GetName()
}
