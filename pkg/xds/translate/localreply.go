package translate

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// answer is a body of ours for requests that no origin answered.
type answer struct {
	flags   []string // Envoy's response flags, any of which selects it; none: what has no flag at all
	status  uint32   // selects where there are no flags
	code    string   // for machines
	message string   // for people
}

// answers are tried in this order. Several flags can be set at once: the cause comes before what followed from it.
var answers = []answer{
	{[]string{"NR"}, 0, "no_service", "no service has this host and path"},
	{[]string{"NC"}, 0, "no_origin", "the origin is not known to this proxy yet"},
	{[]string{"UH"}, 0, "no_endpoint", "the origin has no healthy endpoint"},
	{[]string{"UO"}, 0, "overflow", "the origin's circuit breaker is open: too many connections or requests at once"},
	{[]string{"UF"}, 0, "connect_failed", "no connection to the origin could be made"},
	{[]string{"UT"}, 0, "timeout", "the origin did not answer in time"},
	{[]string{"UMSDR", "DT"}, 0, "max_duration", "the request lasted longer than it may"},
	{[]string{"SI"}, 0, "idle", "nothing was sent or received for too long"},
	{[]string{"UC", "UR", "UPE", "LR", "URX"}, 0, "connection_lost", "the connection to the origin broke before it answered"},
	{[]string{"OM"}, 0, "overloaded", "this proxy is short of memory or connections"},
	{nil, 504, "max_duration", "the request lasted longer than it may"}, // a stream's longest duration has no flag
	{nil, 408, "max_duration", "the request lasted longer than it may"}, // the same before the request has ended
}

// localReplies makes Envoy's own answers say host and cause in JSON. Towards a gRPC client the same text is the grpc-message.
func localReplies() *hcmv3.LocalReplyConfig {
	c := &hcmv3.LocalReplyConfig{BodyFormat: jsonBody("refused", "this proxy cannot accept the request; see cause")}
	for _, a := range answers {
		c.Mappers = append(c.Mappers, &hcmv3.ResponseMapper{
			Filter:             a.filter(),
			BodyFormatOverride: jsonBody(a.code, a.message),
		})
	}
	return c
}

// filter selects the answer.
func (a answer) filter() *accesslogv3.AccessLogFilter {
	if a.flags != nil {
		return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: a.flags},
		}}
	}
	return statusFilter(accesslogv3.ComparisonFilter_EQ, a.status)
}

// anyStatus selects every answer.
func anyStatus() *accesslogv3.AccessLogFilter {
	return statusFilter(accesslogv3.ComparisonFilter_GE, 0)
}

func statusFilter(op accesslogv3.ComparisonFilter_Op, status uint32) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
			Op:    op,
			Value: &corev3.RuntimeUInt32{DefaultValue: status, RuntimeKey: "crossfade.unused"}, // a key is obligatory
		}},
	}}
}

// jsonBody has the keys of every error of ours, and what Envoy knows about the request. Keys without a value are null.
func jsonBody(code, message string) *corev3.SubstitutionFormatString {
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: object(map[string]*structpb.Value{
		"error": structpb.NewStructValue(object(map[string]*structpb.Value{
			"code":    structpb.NewStringValue(code),
			"message": structpb.NewStringValue(message),
			"status":  structpb.NewStringValue("%RESPONSE_CODE%"),
			"host":    structpb.NewStringValue("%REQ(:AUTHORITY)%"),
			"path":    structpb.NewStringValue("%PATH(NQ)%"),
			"service": structpb.NewStringValue(serviceField),
			"origin":  structpb.NewStringValue(originField),
			"cause":   structpb.NewStringValue("%RESPONSE_CODE_DETAILS%"),
		})),
	})}}
}

func object(fields map[string]*structpb.Value) *structpb.Struct {
	return &structpb.Struct{Fields: fields}
}
