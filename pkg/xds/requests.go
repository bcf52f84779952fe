package xds

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Numbers of fields.
const (
	requestNode    = 1 // of a DeltaDiscoveryRequest, like the next ones
	requestTypeURL = 2
	requestAdded   = 3 // names
	requestRemoved = 4
	requestHas     = 5 // names and versions
	requestNonce   = 6
	requestError   = 7

	entryKey      = 1 // of an entry of a map, like the next one
	entryValue    = 2
	statusDetails = 3 // of the Status of an error

	nodeExtensions = 9 // of a Node, like the next ones
	nodeFeatures   = 10
	nodeAddresses  = 11
)

// nodeLists are lists of a node that nobody reads.
var nodeLists = []protowire.Number{nodeExtensions, nodeFeatures, nodeAddresses}

// maxNodeBytes bounds a node without those lists: decoded, metadata takes up to thirty times what it takes on its way.
const maxNodeBytes = 4 << 20

var errUTF8 = errors.New("a name, a version, a type or a nonce of the request is not valid UTF-8")

// decodeRequest decodes what a proxy sends as protobuf would, but for what nobody reads. It takes no list of that kind, an element of which travels in two bytes
// and takes a hundred when decoded: most of a stream's first request is the list of what an Envoy was built with, 61 kB that take 137 kB. Nor does it take
// unknown fields, nor names of a list beyond one more than anybody may have, by which [session.bound] refuses the request.
//
// A proxy that comes back says in a map what it has. protobuf fills that by reflection, which was a third of what its return cost, see docs/performance.md.
func decodeRequest(b []byte, r *discovery.DeltaDiscoveryRequest) error {
	r.Reset()
	var count [requestHas + 1]int
	if err := bytesFields(b, func(number protowire.Number, _ []byte) error {
		if number < protowire.Number(len(count)) && count[number] <= maxNames {
			count[number]++
		}
		return nil
	}); err != nil {
		return err
	}
	r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = room(count[requestAdded]), room(count[requestRemoved])
	if n := count[requestHas]; n > 0 {
		r.InitialResourceVersions = make(map[string]string, n)
	}
	if count[requestNode] == 0 {
		return decodeFields(b, r)
	}
	// A node is nested deeply. Decoded here, it would double the stack of the goroutine that waits for requests, for the life of the stream.
	done := make(chan error)
	go func() { done <- decodeFields(b, r) }()
	return <-done
}

// decodeFields decodes a request into one that has room for its names.
func decodeFields(b []byte, r *discovery.DeltaDiscoveryRequest) error {
	const tagAndLength = 2 // bytes, at least
	node := 0              // bytes
	return bytesFields(b, func(number protowire.Number, value []byte) error {
		switch number {
		case requestNode:
			value = without(value, nodeLists...)
			if node += tagAndLength + len(value); node > maxNodeBytes {
				return fmt.Errorf("the node has %d bytes or more, extensions aside; at most %d are taken", node, maxNodeBytes)
			}
			if r.Node == nil {
				r.Node = &core.Node{}
			}
			return merge(value, r.Node)
		case requestTypeURL:
			if k, served := kindByURL[string(value)]; served {
				r.TypeUrl = kindURLs[k] // shared by all
				return nil
			}
			return decodeString(value, &r.TypeUrl)
		case requestAdded:
			return appendString(value, &r.ResourceNamesSubscribe)
		case requestRemoved:
			return appendString(value, &r.ResourceNamesUnsubscribe)
		case requestHas:
			return decodeEntry(value, r.InitialResourceVersions)
		case requestNonce:
			return decodeString(value, &r.ResponseNonce)
		case requestError:
			if r.ErrorDetail == nil {
				r.ErrorDetail = &statuspb.Status{}
			}
			return merge(without(value, statusDetails), r.ErrorDetail)
		}
		return nil
	})
}

// bytesFields calls f with each field of a message that has bytes.
func bytesFields(message []byte, f func(number protowire.Number, value []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return protowire.ParseError(n)
			}
			message = message[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := f(number, value); err != nil {
			return err
		}
	}
	return nil
}

func merge(b []byte, into proto.Message) error {
	return proto.UnmarshalOptions{Merge: true, DiscardUnknown: true}.Unmarshal(b, into)
}

func decodeString(value []byte, into *string) error {
	if !utf8.Valid(value) {
		return errUTF8
	}
	*into = string(value)
	return nil
}

// room is for so many names.
func room(names int) []string {
	if names == 0 {
		return nil
	}
	return make([]string, 0, names)
}

// appendString decodes a name if there is room for it.
func appendString(value []byte, to *[]string) error {
	if len(*to) == cap(*to) {
		return nil
	}
	*to = append(*to, "")
	return decodeString(value, &(*to)[len(*to)-1])
}

// decodeEntry decodes a name and its version, if there is room for them.
func decodeEntry(entry []byte, to map[string]string) error {
	if len(to) > maxNames {
		return nil
	}
	var name, version string
	err := bytesFields(entry, func(number protowire.Number, value []byte) error {
		switch number {
		case entryKey:
			return decodeString(value, &name)
		case entryValue:
			return decodeString(value, &version)
		}
		return nil
	})
	to[name] = version
	return err
}

// without returns a message without some of its fields. What is malformed stays, for the decoder to complain of.
func without(message []byte, fields ...protowire.Number) []byte {
	var out []byte
	done := 0 // how much of the message out stands for
	for at := 0; at < len(message); {
		number, kind, n := protowire.ConsumeField(message[at:])
		if n < 0 {
			break
		}
		if kind == protowire.BytesType && slices.Contains(fields, number) {
			out = append(out, message[done:at]...)
			done = at + n
		}
		at += n
	}
	if done == 0 {
		return message
	}
	return append(out, message[done:]...)
}
