package deltaclient

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Direct is a connection to a control plane at HOST:PORT, in clear text, for fleets that are simulated: grpc-go passes each message through three goroutines, and
// a thousand proxies on the control plane's own machine would take from it the time that is measured. Here a stream is a TCP connection of its own, and the one
// goroutine that uses it reads, answers and writes. While that goroutine is busy, the server's pings wait, as with an Envoy whose main thread is.
type Direct string

// Invoke refuses: there are streams only.
func (Direct) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Unimplemented, "a direct connection has streams only")
}

// What an Envoy announces, and how much of that may be used before more is granted.
const (
	streamWindow = 16 << 20
	connWindow   = 24 << 20
	grantAfter   = 4 << 20
	dataFrame    = 16 << 10 // the largest that everybody takes
	firstWindow  = 65_535   // RFC 9113, 6.9.2
	onlyStream   = 1        // its number
	bodyHeader   = 5        // bytes before each message of gRPC: not compressed, and its length
)

// NewStream connects and opens the stream. Options of calls are passed over: messages are encoded by the codec of this package.
func (d Direct) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", string(d))
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	s := &directStream{ctx: ctx, conn: conn, windows: [2]int64{firstWindow, firstWindow}, firstWindow: firstWindow}
	s.framer = http2.NewFramer(conn, bufio.NewReaderSize(conn, 4<<10))
	s.framer.SetReuseFrames()
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	s.hangUp = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := s.open(string(d), method); err != nil {
		return nil, s.fail(err)
	}
	return s, nil
}

// directStream is the only stream of its connection.
type directStream struct {
	ctx    context.Context
	conn   net.Conn
	framer *http2.Framer
	hangUp func() bool // no more

	windows     [2]int64 // bytes that may still be sent: on the connection, on the stream
	firstWindow int64    // of streams, as the server says
	taken       uint32   // bytes that came since more was granted
	body        []byte   // that came
	read        int      // how much of it was
	err         error    // how it ended
	out         []byte
}

// open begins the connection and the stream.
func (s *directStream) open(authority, method string) error {
	if _, err := io.WriteString(s.conn, http2.ClientPreface); err != nil {
		return err
	}
	if err := s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow}); err != nil {
		return err
	}
	if err := s.framer.WriteWindowUpdate(0, connWindow-firstWindow); err != nil {
		return err
	}
	var block headerBlock
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", method},
		{":authority", authority},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	return s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: onlyStream, BlockFragment: block, EndHeaders: true})
}

type headerBlock []byte

// Write adds to the block.
func (b *headerBlock) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// SendMsg sends a request. While the server grants no more, it takes in what comes.
func (s *directStream) SendMsg(m any) error {
	encoded, err := codec{}.Marshal(m)
	if err != nil {
		return err
	}
	s.out = append(binary.BigEndian.AppendUint32(append(s.out[:0], 0), uint32(encoded.Len())), encoded.Materialize()...)
	for rest := s.out; len(rest) > 0; {
		n := min(int64(len(rest)), dataFrame, s.windows[0], s.windows[1])
		if n <= 0 {
			if err := s.frame(); err != nil {
				return s.fail(err)
			}
			continue
		}
		if err := s.framer.WriteData(onlyStream, false, rest[:n]); err != nil {
			return s.fail(err)
		}
		s.windows[0] -= n
		s.windows[1] -= n
		rest = rest[n:]
	}
	return nil
}

// RecvMsg takes the next response. What the last one pointed into is used again: let go of it before.
func (s *directStream) RecvMsg(m any) error {
	s.body, s.read = s.body[:copy(s.body, s.body[s.read:])], 0
	if len(s.body) == 0 && cap(s.body) > grantAfter/64 {
		s.body = nil // the first load, which is much larger than what follows
	}
	for {
		if end, ok := message(s.body); ok {
			if s.read = end; s.body[0] != 0 {
				return s.fail(errors.New("a compressed response"))
			}
			return codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(s.body[bodyHeader:end])}, m)
		}
		if err := s.frame(); err != nil {
			return s.fail(err)
		}
	}
}

// message says where the first message ends, if all of it is there.
func message(body []byte) (end int, whole bool) {
	if len(body) < bodyHeader {
		return 0, false
	}
	end = bodyHeader + int(binary.BigEndian.Uint32(body[1:]))
	return end, len(body) >= end
}

// frame takes one frame in.
func (s *directStream) frame() error {
	if s.err != nil {
		return s.err
	}
	frame, err := s.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.DataFrame:
		s.body = append(s.body, f.Data()...)
		if f.StreamEnded() {
			s.err = status.Error(codes.Unknown, "the stream ended without a status")
		}
		return s.grant(f.Length)
	case *http2.MetaHeadersFrame:
		if answer := f.PseudoValue("status"); f.StreamEnded() || answer != "" && answer != "200" {
			s.err = outcome(f)
		}
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			s.err = status.Errorf(codes.Unavailable, "the server has ended the connection: %v", f.ErrCode)
		}
	case *http2.RSTStreamFrame:
		s.err = status.Errorf(codes.Unavailable, "the stream was reset: %v", f.ErrCode)
	case *http2.WindowUpdateFrame:
		s.windows[min(f.StreamID, onlyStream)] += int64(f.Increment)
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.framer.WritePing(true, f.Data)
		}
	case *http2.SettingsFrame:
		return s.settings(f)
	}
	return nil
}

// grant lets the server send as much as was taken, once that is a good part.
func (s *directStream) grant(n uint32) error {
	if s.taken += n; s.taken < grantAfter {
		return nil
	}
	err := errors.Join(s.framer.WriteWindowUpdate(0, s.taken), s.framer.WriteWindowUpdate(onlyStream, s.taken))
	s.taken = 0
	return err
}

func (s *directStream) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		s.windows[onlyStream] += int64(v) - s.firstWindow
		s.firstWindow = int64(v)
	}
	return s.framer.WriteSettingsAck()
}

// outcome is how a stream ended, by its trailers.
func outcome(f *http2.MetaHeadersFrame) error {
	values := map[string]string{}
	for _, field := range f.Fields {
		values[field.Name] = field.Value
	}
	code, err := strconv.ParseUint(values["grpc-status"], 10, 32)
	if err != nil {
		return status.Errorf(codes.Unknown, "the stream ended with HTTP status %s and without one of gRPC", values[":status"])
	}
	text, err := url.PathUnescape(values["grpc-message"])
	if err != nil {
		text = values["grpc-message"]
	}
	if code == 0 {
		return io.EOF
	}
	return status.Error(codes.Code(code), text)
}

// fail ends the stream, and says how it ended.
func (s *directStream) fail(err error) error {
	s.hangUp()
	_ = s.conn.Close()
	switch {
	case s.ctx.Err() != nil:
		s.err = s.ctx.Err()
	case s.err == nil:
		s.err = status.Error(codes.Unavailable, fmt.Sprint("the connection was lost: ", err))
	}
	return s.err
}

// Context of the stream.
func (s *directStream) Context() context.Context { return s.ctx }

// Header is not kept.
func (s *directStream) Header() (metadata.MD, error) { return nil, nil }

// Trailer is not kept, but for the status.
func (s *directStream) Trailer() metadata.MD { return nil }

// CloseSend does nothing: a proxy ends a stream by ending the connection.
func (s *directStream) CloseSend() error { return nil }
