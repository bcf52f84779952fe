// Command yaml-reference writes docs/reference.md from the schema, so that the page cannot say anything else: names, types and meaning
// are those of the protos and their comments, what is required is asked of pkg/policy, and so are the bounds.
//
//	buf build -o - | go run ./internal/cmd/yaml-reference > docs/reference.md
package main

import (
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// schema is the file whose messages are what a user writes.
const schema = "crossfade/v1/service.proto"

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
	file, err := schemaIn(image)
	if err != nil {
		return err
	}
	required, err := requiredFields()
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, page(file, required))
	return err
}

// schemaIn finds the schema, with its comments, in an image.
func schemaIn(image []byte) (protoreflect.FileDescriptor, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(image, &set); err != nil {
		return nil, fmt.Errorf("read the image: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("read the image: %w", err)
	}
	file, err := files.FindFileByPath(schema)
	if err != nil {
		return nil, err
	}
	if file.SourceLocations().Len() == 0 {
		return nil, fmt.Errorf("the image has no comments: build it without --exclude-source-info")
	}
	return file, nil
}
