// Package manifest is the one place that knows how an API message is written as text: YAML that people write, YAML that can be
// applied again, and the JSON of answers.
//
// Reading is strict, because a typing error in a traffic split must not pass for a default: unknown and repeated fields, wrong types,
// aliases and empty values are errors, each with its line. What a document means is decided by pkg/policy; [Parsed.Locate] gives
// its errors (and a server's) their line back. The reader is our own, over the nodes of a YAML library, since the library that reads
// protobuf messages links an expression compiler, loses lines and accepts repeated keys.
package manifest
