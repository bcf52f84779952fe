package manifest

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// scalar reads one value of a field's type. Text is taken as it is written, quoted or not; numbers are decimal and not quoted.
func (d *decoder) scalar(path string, n *yaml.Node, f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	if !d.isKind(path, n, yaml.ScalarNode, wanted(f)) {
		return protoreflect.Value{}, false
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(n.Value), true
	case protoreflect.BoolKind:
		if n.Tag == "!!bool" {
			return protoreflect.ValueOfBool(strings.EqualFold(n.Value, "true")), true
		}
	case protoreflect.Int32Kind:
		if f.FullName() == weightsField && strings.HasSuffix(n.Value, "%") {
			return d.percent(path, n)
		}
		if v, ok := whole(n); ok && v >= math.MinInt32 && v <= math.MaxInt32 {
			return protoreflect.ValueOfInt32(int32(v)), true
		}
	case protoreflect.Int64Kind:
		if v, ok := whole(n); ok {
			return protoreflect.ValueOfInt64(v), true
		}
	}
	next := ""
	if f.FullName() == weightsField {
		next = "write basis points (1000) or percent (10%)"
	} else if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		next = "remove the quotes"
	}
	d.add(n, "wrong_type", path, n.Value, "must be "+wanted(f), next)
	return protoreflect.Value{}, false
}

// weightsField is the value of the map of weights.
const weightsField = "crossfade.v1.Split.WeightsEntry.value"

// percent reads a weight such as 12.5%.
func (d *decoder) percent(path string, n *yaml.Node) (protoreflect.Value, bool) {
	weight, err := policy.ParseWeight(n.Value)
	if e := (*policy.Error)(nil); errors.As(err, &e) {
		d.add(n, e.Code, path, e.Value, e.Message, e.Next)
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfInt32(int32(weight)), true
}

func whole(n *yaml.Node) (int64, bool) {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	return v, err == nil && n.Tag == "!!int"
}

func wanted(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return "a whole number"
	default:
		return "a text"
	}
}
