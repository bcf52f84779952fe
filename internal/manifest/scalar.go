package manifest

import (
	"encoding/base64"
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
		if isStepWeight(f) && !d.json || isShare(f) && strings.HasSuffix(n.Value, "%") {
			return d.percent(path, n, n.Value)
		}
		if v, ok := whole(n); ok && v >= math.MinInt32 && v <= math.MaxInt32 {
			if isStepWeight(f) {
				return d.percent(path, n, policy.FormatWeight(policy.BasisPoints(v)))
			}
			return protoreflect.ValueOfInt32(int32(v)), true
		}
	case protoreflect.Int64Kind:
		if v, ok := whole(n); ok {
			return protoreflect.ValueOfInt64(v), true
		}
	case protoreflect.DoubleKind:
		if v, ok := double(n); ok {
			return protoreflect.ValueOfFloat64(v), true
		}
	case protoreflect.BytesKind:
		return d.bytes(path, n)
	}
	next := ""
	if isShare(f) {
		next = "write basis points (1000) or percent (10%)"
	} else if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		next = "remove the quotes"
	}
	d.add(n, "wrong_type", path, n.Value, "must be "+wanted(f), next)
	return protoreflect.Value{}, false
}

// isShare says that a field holds basis points, which people write as a percentage.
func isShare(f protoreflect.FieldDescriptor) bool {
	switch f.FullName() {
	case "crossfade.v1.Split.WeightsEntry.value", "crossfade.v1.Mirror.share", "crossfade.v1.MirrorNoise.share", "crossfade.v1.RolloutStep.weight", "crossfade.v1.RolloutRun.weight":
		return true
	}
	return false
}

// isStepWeight says that a field holds basis points that people write as a percentage only: beside `preset: 10`, which is 10 %, a weight
// of 10 would be 0.1 %. JSON keeps the numbers of the API.
func isStepWeight(f protoreflect.FieldDescriptor) bool {
	return f.FullName() == "crossfade.v1.RolloutStep.weight"
}

// percent reads a share such as 12.5%.
func (d *decoder) percent(path string, n *yaml.Node, text string) (protoreflect.Value, bool) {
	weight, err := policy.ParseWeight(text)
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

// double reads a number that need not be whole. What is not a number, or has no end, is none.
func double(n *yaml.Node) (float64, bool) {
	v, err := strconv.ParseFloat(n.Value, 64)
	decimal := strings.Trim(n.Value, "0123456789+-.eE") == ""
	return v, err == nil && decimal && (n.Tag == "!!int" || n.Tag == "!!float")
}

// bytes reads base64, in one line or several. It is not repeated in errors: it may be long.
func (d *decoder) bytes(path string, n *yaml.Node) (protoreflect.Value, bool) {
	v, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
	if err != nil {
		d.add(n, "bad_base64", path, "", "must be base64, with + and / and padded with =", "write what `base64` prints")
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfBytes(v), true
}

func wanted(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return "a whole number"
	case protoreflect.DoubleKind:
		return "a number"
	case protoreflect.BytesKind:
		return "base64"
	default:
		return "a text"
	}
}
