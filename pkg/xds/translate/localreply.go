package translate

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// answer is a body of ours for requests that no origin answered.
type answer struct {
	flags   []string // Envoy's response flags, any of which selects it
	code    string   // for machines
	message string   // for people
}

// answers are tried in this order. Several flags can be set at once: the cause comes before what followed from it.
var answers = []answer{
	{[]string{"NR"}, "no_service", "no service has this host and path"},
	{[]string{"NC"}, "no_origin", "the origin is not known to this proxy yet"},
	{[]string{"UH"}, "no_endpoint", "the origin has no healthy endpoint"},
	{[]string{"UO"}, "overflow", "the origin's circuit breaker is open: too many connections or requests at once"},
	{[]string{"UF"}, "connect_failed", "no connection to the origin could be made"},
	{[]string{"UT"}, "timeout", "the origin did not answer in time"},
	{[]string{"UMSDR", "DT"}, "max_duration", "the request lasted longer than it may"},
	{[]string{"SI"}, "idle", "nothing was sent or received for too long"},
	{[]string{"UC", "UR", "UPE", "LR", "URX"}, "connection_lost", "the connection to the origin broke before it answered"},
	{[]string{"OM"}, "overloaded", "this proxy is short of memory or connections"},
}

// localReplies makes Envoy's own answers say host and cause in JSON. Towards a gRPC client the same text is the grpc-message.
func localReplies() *hcmv3.LocalReplyConfig {
	c := &hcmv3.LocalReplyConfig{BodyFormat: jsonBody("refused", "this proxy cannot accept the request; see cause")}
	for _, a := range answers {
		c.Mappers = append(c.Mappers, &hcmv3.ResponseMapper{
			Filter: &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
				ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: a.flags},
			}},
			BodyFormatOverride: jsonBody(a.code, a.message),
		})
	}
	return c
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
