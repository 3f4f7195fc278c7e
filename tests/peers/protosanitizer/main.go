// Command protosanitizer prints what kubernetes-csi's protosanitizer makes of messages of csi.v1.
//
// It reads messages from standard input, each as two frames, its full protobuf name and its wire bytes; a frame is a
// big-endian length of four bytes and as many bytes. For each message it writes one frame: the text that a driver's log
// would show; or an empty one if this module does not know the message.
//
// With the argument "measure" it is a benchmark: it reads one message, then lines with numbers. For each it sanitizes the
// message so many times, and writes a line: the nanoseconds that took, the bytes it made, and what it allocated.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	_ "github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-lib-utils/protosanitizer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func main() {
	run := compare
	if len(os.Args) == 2 && os.Args[1] == "measure" {
		run = measure
	}
	if err := run(bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "protosanitizer:", err)
		os.Exit(1)
	}
}

// compare sanitizes every message of the input.
func compare(in *bufio.Reader, out *bufio.Writer) error {
	for {
		message, err := readMessage(in)
		switch {
		case errors.Is(err, io.EOF):
			return out.Flush()
		case errors.Is(err, protoregistry.NotFound):
			err = writeFrame(out, nil)
		case err == nil:
			err = writeFrame(out, []byte(protosanitizer.StripSecrets(message).String()))
		}
		if err != nil {
			return err
		}
	}
}

// measure sanitizes one message so often as the lines after it say.
func measure(in *bufio.Reader, out *bufio.Writer) error {
	message, err := readMessage(in)
	if err != nil {
		return err
	}
	for {
		var times int
		if _, err := fmt.Fscanln(in, &times); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		length := 0
		started := time.Now()
		for range times {
			length += len(protosanitizer.StripSecrets(message).String())
		}
		elapsed := time.Since(started)
		runtime.ReadMemStats(&after)
		fmt.Fprintln(out, elapsed.Nanoseconds(), length, after.Mallocs-before.Mallocs)
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// readMessage gives the next message decoded, and NotFound for one whose name is unknown.
func readMessage(in io.Reader) (proto.Message, error) {
	name, err := readFrame(in)
	if err != nil {
		return nil, err
	}
	wire, err := readFrame(in)
	if err != nil {
		return nil, fmt.Errorf("the wire bytes of %s: %w", name, io.ErrUnexpectedEOF)
	}
	messageType, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, err
	}
	message := messageType.New().Interface()
	if err := proto.Unmarshal(wire, message); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return message, nil
}

func readFrame(in io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(in, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	frame := make([]byte, length)
	_, err := io.ReadFull(in, frame)
	return frame, err
}

func writeFrame(out io.Writer, frame []byte) error {
	if err := binary.Write(out, binary.BigEndian, uint32(len(frame))); err != nil {
		return err
	}
	_, err := out.Write(frame)
	return err
}
