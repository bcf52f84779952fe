package policy

import (
	"errors"
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Defaults of experiments.
const (
	DefaultMirrorDuration = time.Hour
	DefaultMirrorLearn    = time.Minute
	DefaultMirrorBodyCap  = 1 << 20           // bytes
	DefaultMirrorNoise    = BasisPoints(2000) // of the pairs
	DefaultMirrorPairs    = 5000
	DefaultMirrorErrors   = 500 // answers of the candidate
	DefaultMirrorRefusals = 3   // answers of control within 10 s
)

// CompileMirror does for an experiment what [CompileService] does for a service. Whether its origins exist is not known yet, see [Mirror.For];
// what its rules and templates mean is looked at by package shadow.
func CompileMirror(doc *crossfadev1.Mirror) (*Mirror, Errors) {
	var p problems
	if doc == nil {
		p.add("", "document_empty", "", "the document is empty", "see `shadowctl example mirror`")
		return nil, p.found
	}
	p.header(doc.GetApiVersion(), doc.GetKind(), KindMirror)
	p.found = append(p.found, Unknown(doc)...)
	p.checkName("name", doc.GetName(), "the experiment")
	p.checkName("service", doc.GetService(), "the service that is mirrored")
	m := &Mirror{Name: doc.GetName(), Service: doc.GetService(), Candidate: doc.GetCandidate(), OneBody: doc.GetOneBody()}
	m.Mode = p.mirrorMode(doc.GetMode())
	m.Control = p.mirrorControl(doc, m.Mode)
	p.mirrorCandidate(doc)
	p.mirrorRequests(m, doc)
	p.mirrorTimes(m, doc)
	p.mirrorAnswers(m, doc)
	m.Run = p.mirrorRun(doc.GetRun())
	if len(p.found) > 0 {
		return nil, p.found
	}
	return m, nil
}

func (p *problems) mirrorMode(mode string) MirrorMode {
	switch m := MirrorMode(mode); m {
	case "":
		return Compare
	case Compare, Dark:
		return m
	}
	p.add("mode", "mode_unknown", mode, `must be "compare" or "dark"`, `leave it out for the default of "compare"`)
	return Compare
}

func (p *problems) mirrorControl(doc *crossfadev1.Mirror, mode MirrorMode) string {
	control := doc.GetControl()
	switch {
	case control == "":
	case mode == Dark:
		p.add("control", "control_in_dark", control, `in mode "dark" the candidate alone is asked`, "leave control out, or write mode: compare")
	default:
		p.checkName("control", control, "the origin whose answers are right")
	}
	return control
}

func (p *problems) mirrorCandidate(doc *crossfadev1.Mirror) {
	p.checkName("candidate", doc.GetCandidate(), "the origin that is tried")
	if doc.GetCandidate() != "" && doc.GetCandidate() == doc.GetControl() {
		p.candidateIsControl(doc.GetCandidate(), "name two different origins")
	}
}

func (p *problems) candidateIsControl(name, next string) {
	p.add("candidate", "candidate_is_control", name, "is the control as well: an origin compared with itself shows nothing", next)
}

// mirrorRequests fills in which requests are copied, and how many.
func (p *problems) mirrorRequests(m *Mirror, doc *crossfadev1.Mirror) {
	m.Share = BasisPoints(doc.GetShare())
	if m.Share < 1 || m.Share > Whole {
		p.add("share", "share_range", FormatWeight(m.Share), "the share of the requests that are copied is 0.01% to 100%", "write for example share: 1%")
	}
	if m.MaxRPS = int(doc.GetMaxRps()); m.MaxRPS < 0 || m.MaxRPS > MaxMirrorRPS {
		p.add("maxRps", "out_of_range", fmt.Sprint(m.MaxRPS), fmt.Sprintf("must be 1 to %d", MaxMirrorRPS), "leave it out for the default of a tenth of what control gets")
	}
	m.Methods = p.mirrorMethods(doc)
	m.GRPCMethods = p.grpcMethods(doc.GetGrpcMethods())
	m.PathPrefixes = p.prefixes("pathPrefixes", doc.GetPathPrefixes(), MaxPathPrefixes)
	m.Headers = p.mirrorHeaders(doc.GetHeaders())
	m.Keep = p.headerNames("keepHeaders", doc.GetKeepHeaders(), MaxMirrorHeaders)
	if m.Identity = doc.GetIdentity(); m.Identity != "" && !ValidName(m.Identity) { // it is not repeated: it may be the credential itself
		p.add("identity", "name_invalid", "", "is not a name of lower-case letters, digits and dashes, of at most 63 characters", "write the name that the server's settings give the identity")
	}
	m.Allow = p.prefixes("allowPaths", doc.GetAllowPaths(), MaxMirrorPaths)
	m.Exclude = p.prefixes("excludePaths", doc.GetExcludePaths(), MaxMirrorPaths)
}

// mirrorTimes fills in when it ends, by itself or early.
func (p *problems) mirrorTimes(m *Mirror, doc *crossfadev1.Mirror) {
	m.Duration = p.duration("duration", doc.GetDuration(), durationRule{def: DefaultMirrorDuration, min: MinMirrorDuration})
	if m.Duration > MaxMirrorDuration {
		p.add("duration", "duration_too_long", m.Duration.String(), "an experiment runs for 720h at most", "start it anew when it has ended")
	}
	m.Learn = p.duration("learn", doc.GetLearn(), durationRule{def: DefaultMirrorLearn})
	if m.Learn > m.Duration {
		p.add("learn", "learn_above_duration", m.Learn.String(), fmt.Sprintf("while it learns nobody is asked, and it ends after %s (duration)", m.Duration), "write learn: 0s, or a longer duration")
	}
	stop := doc.GetStop()
	m.Stop = MirrorStop{
		CandidateErrors:  p.number("stop.candidateErrors", stop.GetCandidateErrors(), DefaultMirrorErrors, 1, MaxMirrorErrors),
		CandidateLatency: p.duration("stop.candidateLatency", stop.GetCandidateLatency(), durationRule{}),
		ControlRefusals:  p.number("stop.controlRefusals", stop.GetControlRefusals(), DefaultMirrorRefusals, 1, MaxMirrorErrors),
	}
}

// mirrorAnswers fills in how answers are compared.
func (p *problems) mirrorAnswers(m *Mirror, doc *crossfadev1.Mirror) {
	m.NoiseShare = p.noiseShare(doc.GetNoise(), m.Mode)
	m.BodyCap = p.bodyCap(doc.GetBodyCap())
	m.Rules = p.mirrorRules(doc.GetRules())
	m.Endpoints = p.texts("endpoints", doc.GetEndpoints(), MaxMirrorEndpoints, "templates")
	m.Compare = p.headerNames("compareHeaders", doc.GetCompareHeaders(), MaxMirrorCompare)
	m.Values = p.mirrorValues(doc.GetValues())
	m.MinPairs = p.number("minPairs", doc.GetMinPairs(), DefaultMirrorPairs, 1, MaxMirrorPairs)
	m.Reflection = doc.GetGrpc().GetReflection()
	if n := len(doc.GetGrpc().GetDescriptors()); n > MaxMirrorDescriptors {
		p.add("grpc.descriptors", "too_long", fmt.Sprint(n), fmt.Sprintf("has %d bytes; at most %d are allowed", n, MaxMirrorDescriptors), "leave out what the methods do not need, or write reflection: true")
	} else if n > 0 {
		m.Descriptors = append([]byte(nil), doc.GetGrpc().GetDescriptors()...)
	}
}

// noiseShare returns for how many pairs control is asked twice. In dark mode it is never asked.
func (p *problems) noiseShare(d *crossfadev1.MirrorNoise, mode MirrorMode) BasisPoints {
	share := DefaultMirrorNoise
	if d != nil && d.Share != nil {
		share = BasisPoints(d.GetShare())
	}
	if share < 0 || share > Whole {
		p.add("noise.share", "share_range", FormatWeight(share), "the share of the pairs for which control is asked twice is 0% to 100%", "leave it out for the default of "+FormatWeight(DefaultMirrorNoise))
	}
	if mode == Dark {
		return 0
	}
	return share
}

func (p *problems) bodyCap(written string) int {
	if written == "" {
		return DefaultMirrorBodyCap
	}
	n, err := ParseSize(written)
	if e := (*Error)(nil); errors.As(err, &e) {
		p.add("bodyCap", e.Code, written, e.Message, e.Next)
	} else if n < MinMirrorBodyCap || n > MaxMirrorBodyCap {
		p.add("bodyCap", "out_of_range", written, fmt.Sprintf("must be %s to %s", FormatSize(MinMirrorBodyCap), FormatSize(MaxMirrorBodyCap)), "leave it out for the default of "+FormatSize(DefaultMirrorBodyCap))
	}
	return n
}
