// Package hook tells webhooks what happens to rollouts, and asks them before a step: how a team stops its cron jobs here and starts them
// there.
//
// An event is a CloudEvent 1.0 over HTTP in structured mode, sent by POST. Its type is "dev.crossfade.rollout." and what happened, its source
// "/crossfade/rollouts/NAME", its subject the service. Data holds rollout (the RolloutStatus, in the JSON form of protobuf with every field,
// so that 64-bit numbers are strings and a library reads it back), text (what happened, for people) and alarm (somebody has to look now).
//
// It is signed by the scheme of Standard Webhooks, in the headers webhook-id, webhook-timestamp and webhook-signature; [Verify] is the other
// side of it. An event that is sent again has the same ID and a new time stamp: receivers drop what they know.
//
// An answer of 2xx agrees. Everything else, a redirect too, is an error that shows status and text of the answer.
//
// URLs come from whoever writes rollouts, so only those are called that the server's settings allow, by https unless on loopback, and never
// an address at which clouds hand out credentials, whatever name leads there. A proxy is used if HTTPS_PROXY or HTTP_PROXY name one; it then
// resolves names itself, and has to refuse such addresses itself.
package hook
