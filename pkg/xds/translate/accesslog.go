package translate

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Where formats find what a request was matched with.
const (
	serviceField = "%METADATA(ROUTE:" + metadataKey + ":service)%"
	pinField     = "%METADATA(ROUTE:" + metadataKey + ":pin)%"
	originField  = "%METADATA(CLUSTER:" + metadataKey + ":origin)%"
)

// logFields is one line of the access log. Query strings, cookies, bodies and the client's address are not in it: requests carry patient
// data. The request's own identifiers are, to find it again in the application's log.
var logFields = map[string]string{
	"time":       "%START_TIME%",
	"service":    serviceField,
	"origin":     originField,
	"pin":        pinField,
	"method":     "%REQ(:METHOD)%",
	"host":       "%REQ(:AUTHORITY)%",
	"path":       "%PATH(NQ)%",
	"protocol":   "%PROTOCOL%",
	"status":     "%RESPONSE_CODE%",
	"grpcStatus": "%GRPC_STATUS_NUMBER%",
	"flags":      "%RESPONSE_FLAGS%",
	"cause":      "%RESPONSE_CODE_DETAILS%",
	"durationMs": "%DURATION%",
	"endpoint":   "%UPSTREAM_HOST%",
	"attempts":   "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
	"bytesIn":    "%BYTES_RECEIVED%",
	"bytesOut":   "%BYTES_SENT%",
	"requestId":  "%REQ(X-REQUEST-ID?X-AMZN-TRACE-ID)%",
}

// accessLog writes a JSON object per request to standard output.
func accessLog() []*accesslogv3.AccessLog {
	fields := make(map[string]*structpb.Value, len(logFields))
	for k, v := range logFields {
		fields[k] = structpb.NewStringValue(v)
	}
	log := &streamv3.StdoutAccessLog{AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: object(fields)},
	}}}
	return []*accesslogv3.AccessLog{{
		Name:       "envoy.access_loggers.stdout",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: packed(log)},
	}}
}
