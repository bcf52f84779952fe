// Command yaml-reference writes docs/reference.md from the schema, so that the page cannot say anything else: names, types and meaning
// are those of the protos and their comments, what is required is asked of pkg/policy, and so are the bounds.
//
//	buf build -o - | go run ./internal/cmd/yaml-reference > docs/reference.md
package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// roots are the messages that a user writes as documents; what they hold is in the same files.
var roots = []protoreflect.FullName{"crossfade.v1.Service", "crossfade.v1.Fleet", "crossfade.v1.Mirror", "crossfade.v1.Rollout"}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "yaml-reference:", err)
		os.Exit(1)
	}
}

// run reads an image of the protos and writes the page.
func run(in io.Reader, out io.Writer) error {
	image, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	messages, err := messagesIn(image)
	if err != nil {
		return err
	}
	required, err := requiredFields()
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, page(messages, required))
	return err
}

// messagesIn finds the messages of documents, with their comments, in an image: file by file, in the order written.
func messagesIn(image []byte) ([]protoreflect.MessageDescriptor, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(image, &set); err != nil {
		return nil, fmt.Errorf("read the image: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("read the image: %w", err)
	}
	return documentMessages(files)
}

func documentMessages(files *protoregistry.Files) ([]protoreflect.MessageDescriptor, error) {
	wanted := map[protoreflect.FullName]bool{}
	var in []protoreflect.FileDescriptor
	for _, root := range roots {
		d, err := files.FindDescriptorByName(root)
		if err != nil {
			return nil, err
		}
		if d.ParentFile().SourceLocations().Len() == 0 {
			return nil, fmt.Errorf("the image has no comments: build it without --exclude-source-info")
		}
		reach(d.(protoreflect.MessageDescriptor), wanted)
		if !slices.Contains(in, d.ParentFile()) {
			in = append(in, d.ParentFile())
		}
	}
	var out []protoreflect.MessageDescriptor
	for _, file := range in {
		for i := range file.Messages().Len() {
			if m := file.Messages().Get(i); wanted[m.FullName()] {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// reach collects a message and all that its fields hold.
func reach(m protoreflect.MessageDescriptor, into map[protoreflect.FullName]bool) {
	if into[m.FullName()] {
		return
	}
	into[m.FullName()] = true
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); f.Message() != nil && !f.IsMap() {
			reach(f.Message(), into)
		}
	}
}
