// Command mute stands in for cardsim: one card that says what it is and then
// answers every command with half a status word.
package main

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"time"
)

// main is started as mute serve --control SOCKET.
func main() {
	control, err := net.Listen("unix", os.Args[3])
	if err != nil {
		panic(err)
	}
	go card()
	for {
		connection, err := control.Accept()
		if err != nil {
			return
		}
		_, _ = connection.Write([]byte("{}\n"))
		_ = connection.Close()
	}
}

// card is in the first reader for good.
func card() {
	for ; ; time.Sleep(50 * time.Millisecond) {
		if reader, err := net.Dial("tcp", "127.0.0.1:35963"); err == nil {
			talk(reader)
		}
	}
}

func talk(reader net.Conn) {
	for {
		var size [2]byte
		if _, err := io.ReadFull(reader, size[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(reader, message); err != nil {
			return
		}
		switch {
		case len(message) != 1: // a command
			_, _ = reader.Write([]byte{0, 1, 0x90})
		case message[0] == 4: // the answer to reset
			_, _ = reader.Write([]byte{0, 2, 0x3B, 0x00})
		}
	}
}
